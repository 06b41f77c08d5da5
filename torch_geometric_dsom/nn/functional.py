"""The mathematics of ComplEx on real tensors of complex vectors, real parts first."""

from __future__ import annotations

from typing import Any

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


class _CubedModuli(torch.autograd.Function):
    """Sum of the cubed moduli of complex vectors; its slope, three times modulus and value, is finite at zero too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        re, im = x.chunk(2, dim=-1)
        modulus = torch.addcmul(re.square(), im, im).sqrt_()
        ctx.save_for_backward(x, modulus)
        return modulus.pow(3).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        x, modulus = ctx.saved_tensors
        modulus = modulus * (3 * upstream[0])
        return torch.cat([part * modulus for part in x.chunk(2, dim=-1)], dim=-1)


def _cubed_moduli(x: Tensor) -> Tensor:
    return _CubedModuli.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class _Gathering(torch.autograd.Function):
    """A table whose gradient waits for those of its rows, see :func:`gathering`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        ctx.waiting = []
        ctx.shape, ctx.kind = table.shape, {"dtype": table.dtype, "device": table.device}
        ctx.set_materialize_grads(False)
        return table.view_as(table)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Tensor:
        gradient, waiting, ctx.waiting = upstream[0], ctx.waiting, []
        gradient = torch.zeros(ctx.shape, **ctx.kind) if gradient is None else gradient.contiguous()
        for index, rows in waiting:
            gradient.index_add_(0, index, rows)
        return gradient


class _Rows(torch.autograd.Function):
    """Rows of a gathering table; autograd runs the table's backward pass after those of all its rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, waiting: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.index, ctx.waiting = index, waiting
        return table.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, None, None]:
        ctx.waiting.append((ctx.index, upstream[0]))
        return None, None, None


def gathering(table: Tensor) -> Tensor:
    """The same table, to whose gradient :func:`rows` add in place.

    Otherwise each time that rows are taken costs a gradient of the size of the table, zero nearly everywhere. There is
    one backward pass only, and it writes to the gradient that comes from elsewhere: that must belong to nobody else.

    Args:
        table (Tensor): ``[N, D]``.

    Example:
        >>> import torch
        >>> table = torch.ones(3, 1, requires_grad=True)
        >>> once = gathering(table)
        >>> (once.sum() + rows(once, torch.tensor([1, 1])).sum()).backward()
        >>> table.grad.flatten()
        tensor([1., 3., 1.])
    """
    return _Gathering.apply(table) if table.requires_grad else table  # type: ignore[no-untyped-call]


def rows(table: Tensor, index: Tensor) -> Tensor:
    """Some rows of a table, ``[M]`` to ``[M, D]``, in the way whose gradient is added up quickest.

    Args:
        table (Tensor): ``[N, D]``, or what :func:`gathering` made of it.
        index (Tensor): ``[M]``, int64.

    Example:
        >>> import torch
        >>> rows(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 1])).tolist()
        [[2.0], [2.0]]
    """
    waiting = getattr(table.grad_fn, "waiting", None)
    return table.index_select(0, index) if waiting is None else _Rows.apply(table, index, waiting)  # type: ignore[no-untyped-call]


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
    total = sum((_cubed_moduli(factor) for factor in factors), start=factors[0].new_zeros(()))
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
