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
