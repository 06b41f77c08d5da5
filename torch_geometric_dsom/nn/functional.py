"""The mathematics of ComplEx on real tensors of complex vectors, real parts first."""

from __future__ import annotations

import torch
from torch import Tensor


def complex_query(entity: Tensor, relation: Tensor) -> Tensor:
    r"""Element-wise complex product :math:`h \odot r`.

    Its real inner product with a tail's vector is the ComplEx score :math:`\mathrm{Re}\langle h, r, \bar t\rangle`.

    Args:
        entity (Tensor): ``[B, 2d]``, real parts first.
        relation (Tensor): ``[B, 2d]``, real parts first.

    Returns:
        Tensor: ``[B, 2d]``.

    Example:
        >>> import torch
        >>> complex_query(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))  # (1 + 2i)(3 + 4i) = -5 + 10i
        tensor([[-5., 10.]])
    """
    h_re, h_im = entity.chunk(2, dim=-1)
    r_re, r_im = relation.chunk(2, dim=-1)
    return torch.cat([h_re * r_re - h_im * r_im, h_re * r_im + h_im * r_re], dim=-1)


def n3_penalty(*factors: Tensor) -> Tensor:
    r"""The nuclear 3-norm of `"Canonical Tensor Decomposition for Knowledge Base Completion"
    <https://arxiv.org/abs/1806.07297>`_, averaged over a batch.

    .. math::
        \frac{1}{B} \sum_{b=1}^{B} \sum_{f \in \{h, r, t\}} \sum_{i=1}^{d} |f_{b,i}|^3

    Args:
        *factors (Tensor): Complex vectors, ``[B, 2d]`` each, real parts first.

    Returns:
        Tensor: A scalar.

    Example:
        >>> import torch
        >>> n3_penalty(torch.tensor([[3.0, 4.0]]))  # |3 + 4i|^3
        tensor(125.)
    """
    total = factors[0].new_zeros(())
    for factor in factors:
        re, im = factor.chunk(2, dim=-1)
        square = re.square() + im.square()
        # sqrt has no finite slope at 0, the cube of a modulus has slope 0 there.
        modulus = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
        total = total + torch.where(square > 0, square * modulus, square).sum()
    return total / max(factors[0].size(0), 1)


def n3_penalty_real(*factors: Tensor) -> Tensor:
    r"""The nuclear 3-norm of :func:`n3_penalty` for real vectors.

    Args:
        *factors (Tensor): Real vectors, ``[B, d]`` each.

    Returns:
        Tensor: A scalar.

    Example:
        >>> import torch
        >>> n3_penalty_real(torch.tensor([[3.0, -1.0]]), torch.tensor([[2.0]]))
        tensor(36.)
    """
    total = factors[0].new_zeros(())
    for factor in factors:
        total = total + factor.abs().pow(3).sum()
    return total / max(factors[0].size(0), 1)


def negative_distance(query: Tensor, table: Tensor, p: float = 2.0) -> Tensor:
    r"""Negative distances :math:`- \lVert q - t \rVert_p` of all pairs, without a ``[B, C, d]`` tensor.

    The Euclidean ones come from :math:`\lVert q \rVert^2 + \lVert t \rVert^2 - 2 \langle q, t \rangle`, a matrix
    product. Where a distance is small beside the vectors it loses digits: in float32 it is exact to about
    :math:`10^{-3} \lVert q \rVert`.

    Args:
        query (Tensor): ``[B, d]``.
        table (Tensor): ``[C, d]``.
        p (float): 1 or 2. (default: :obj:`2.0`)

    Returns:
        Tensor: ``[B, C]``.

    Example:
        >>> import torch
        >>> negative_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
        tensor([[-5.]])
    """
    if p != 2.0:
        return -torch.cdist(query, table, p=p)
    lengths = query.square().sum(dim=-1, keepdim=True) + table.square().sum(dim=-1)
    square = torch.addmm(lengths, query, table.T, alpha=-2.0)
    # The square root has no finite slope at 0: there the distance is held at the rounding error of the product.
    tiny = torch.finfo(square.dtype).eps * lengths.detach().clamp_min(torch.finfo(square.dtype).tiny)
    return -torch.maximum(square, tiny).sqrt()
