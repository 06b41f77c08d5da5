"""The soft label of a set of teachers."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError


def mixture_weights(chosen: Tensor) -> Tensor:
    """Weights of an average over chosen teachers.

    Args:
        chosen (Tensor): Which teachers are chosen, ``[B, K]`` bool, or weights that are not negative.

    Returns:
        Tensor: ``[B, K]``; each row sums to one, or is zero where nothing is chosen.

    Example:
        >>> import torch
        >>> mixture_weights(torch.tensor([[True, True], [False, False]]))
        tensor([[0.5000, 0.5000],
                [0.0000, 0.0000]])
    """
    weights = chosen if chosen.is_floating_point() else chosen.to(torch.get_default_dtype())
    total = weights.sum(dim=-1, keepdim=True)
    return weights / torch.where(total > 0, total, torch.ones_like(total))


def combine_logits(teacher_logits: Tensor, action: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Logits of the mean of the chosen teachers' distributions.

    .. math::
        z_a = \tau \log \frac{1}{|a|} \sum_{k \in a} \mathrm{softmax}(z_k / \tau)

    so that :math:`\mathrm{softmax}(z_a / \tau) = p_a`. A row with the empty set gets zeros: a uniform label that is
    meant to carry no weight.

    Args:
        teacher_logits (Tensor): ``[K, B, N]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool, or their weights, which are scaled to sum to one.
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)

    Returns:
        Tensor: ``[B, N]``.

    Raises:
        ConfigError: If shapes disagree or the temperature is not positive.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import combine_logits
        >>> logits = torch.tensor([[[0.75, 0.25]], [[0.25, 0.75]]]).log()
        >>> combine_logits(logits, torch.tensor([[True, True]])).exp()
        tensor([[0.5000, 0.5000]])
    """
    if not temperature > 0:
        raise ConfigError(f"temperature: expected a positive number, got {temperature}")
    if teacher_logits.dim() != 3 or action.shape != (teacher_logits.size(1), teacher_logits.size(0)):
        raise ConfigError(
            "teacher_logits, action: expected [K, B, N] and [B, K], "
            f"got {list(teacher_logits.shape)} and {list(action.shape)}"
        )
    weights = mixture_weights(action.to(teacher_logits.dtype))
    total: Tensor | None = None
    for logits, log_weight in zip(teacher_logits, weights.log().unbind(dim=-1), strict=True):
        log_prob = torch.log_softmax(logits / temperature, dim=-1) + log_weight.unsqueeze(-1)
        total = log_prob if total is None else torch.logaddexp(total, log_prob)
    assert total is not None
    return (temperature * total).masked_fill((weights == 0).all(dim=-1, keepdim=True), 0.0)
