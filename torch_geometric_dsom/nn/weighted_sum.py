"""Weighted sums of rows of a table, many rows to many sums, without a copy of a row for each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def weighted_sum(table: Tensor, source: Tensor, weight: Tensor, target: Tensor, size: int) -> Tensor:
    r"""Sums of rows by where they go, :math:`y_i = \sum_{e: t_e = i} w_e\, x_{s_e}`, ``[N, D]`` to ``[size, D]``.

    Gradients reach rows and weights. They and the sums have the same bits each time, however many threads there are,
    and need no tensor ``[E, D]``.

    Args:
        table (Tensor): The rows :math:`x`, ``[N, D]``.
        source (Tensor): Which row, :math:`s`, ``[E]``, int64.
        weight (Tensor): What it is multiplied by, :math:`w`, ``[E]``.
        target (Tensor): Where it goes, :math:`t`, ``[E]``, int64, in ``[0, size)``.
        size (int): Number of sums.

    Example:
        >>> import torch
        >>> table = torch.tensor([[1.0], [2.0]])
        >>> weighted_sum(table, torch.tensor([0, 1, 1]), torch.tensor([1.0, 3.0, 5.0]), torch.tensor([2, 0, 2]), 3)
        tensor([[ 6.],
                [ 0.],
                [11.]])
    """
    total = _bags(table.detach(), source, weight, target, size)  # its own gradient of rows is slower
    return _RowGradient.apply(total, table, source, weight.detach(), target)  # type: ignore[no-any-return, no-untyped-call]


def _bags(table: Tensor, source: Tensor, weight: Tensor, target: Tensor, size: int) -> Tensor:
    order = target.int().argsort(stable=True)
    offsets = torch.cat([target.new_zeros(1), torch.bincount(target, minlength=size).cumsum(0)])
    some = weight.index_select(0, order)
    sums = torch.nn.functional.embedding_bag
    return sums(source[order], table, offsets, mode="sum", per_sample_weights=some, include_last_offset=True)


class _RowGradient(torch.autograd.Function):
    """Hands sums on, and their gradient to the rows that they were made of."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, table: Tensor, source: Tensor, weight: Tensor, target: Tensor) -> Tensor:
        """The sums."""
        ctx.save_for_backward(source, weight, target)
        ctx.rows = table.size(0)
        return total.view_as(total)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The same sums the other way round."""
        (gradient,) = gradients
        source, weight, target = ctx.saved_tensors
        rows = _bags(gradient.contiguous(), target, weight, source, ctx.rows) if ctx.needs_input_grad[1] else None
        return gradient, rows, None, None, None
