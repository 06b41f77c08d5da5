"""A loss whose gradient is known already: what is left for autograd is to carry it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _Known(torch.autograd.Function):
    """Gives a value; in the backward pass gives the gradients that came with it, scaled."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *tensors: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("backward: expected one pass, the gradients have been handed on already")
        gradients, ctx.gradients = ctx.gradients, None  # handed on, not copied
        return None, None, *(gradient.mul_(upstream[0]) for gradient in gradients)


def with_gradient(value: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    r"""A scalar whose gradient with respect to some tensors is given.

    Args:
        value (Tensor): The value, a scalar.
        pairs (list[tuple[Tensor, Tensor]]): Tensors and the value's gradients with respect to them, of one shape each;
            the gradients must not change before the backward pass, which hands them on: there can be one only.

    Returns:
        Tensor: The value, differentiable.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import with_gradient
        >>> x = torch.ones(2, requires_grad=True)
        >>> with_gradient(torch.tensor(3.0), [(x, torch.tensor([5.0, 7.0]))]).mul(2).backward()
        >>> x.grad
        tensor([10., 14.])
    """
    tensors = [tensor for tensor, _ in pairs]
    return _Known.apply(value, [gradient for _, gradient in pairs], *tensors)  # type: ignore[no-any-return, no-untyped-call]
