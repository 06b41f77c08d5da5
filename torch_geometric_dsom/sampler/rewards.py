"""What a set of teachers is worth to the student, as pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def set_log_prob(teacher_log_prob: Tensor, action: Tensor) -> Tensor:
    r"""Log-probability that the chosen teachers, averaged, give the target: :math:`\log p_a(t)`.

    .. math::
        \log p_a(t) = \log \frac{1}{|a|} \sum_{k \in a} p_k(t)

    Args:
        teacher_log_prob (Tensor): :math:`\log p_k(t)`, ``[B, K]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool.

    Returns:
        Tensor: ``[B]``, minus infinity for the empty set.

    Example:
        >>> import torch
        >>> log_prob = torch.tensor([[0.5, 0.25]]).log()
        >>> set_log_prob(log_prob, torch.tensor([[True, True]])).exp()
        tensor([0.3750])
    """
    masked = teacher_log_prob.masked_fill(~action, -torch.inf)
    size = action.sum(dim=-1).clamp_min(1).to(teacher_log_prob.dtype)
    return masked.logsumexp(dim=-1) - size.log()


def margin_reward(teacher_log_prob: Tensor, student_log_prob: Tensor, action: Tensor, positive: bool = True) -> Tensor:
    r"""How much more the chosen set believes in the target than the student does.

    .. math::
        r(a) = \big[ \log p_a(t) - \log p_S(t) \big]_+ \quad \text{and} \quad r(\emptyset) = 0

    Args:
        teacher_log_prob (Tensor): :math:`\log p_k(t)` of each teacher, ``[B, K]``.
        student_log_prob (Tensor): :math:`\log p_S(t)`, ``[B]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[0.5, 0.1]]).log()
        >>> margin_reward(teachers, torch.tensor([0.25]).log(), torch.tensor([[True, False]]))  # log 2
        tensor([0.6931])
        >>> margin_reward(teachers, torch.tensor([0.25]).log(), torch.tensor([[False, True]]))
        tensor([0.])
    """
    margin = set_log_prob(teacher_log_prob, action) - student_log_prob
    margin = margin.clamp_min(0.0) if positive else margin
    return margin.masked_fill(~action.any(dim=-1), 0.0)


def rank_reward(
    teacher_prob: Tensor, student_prob: Tensor, target: Tensor, action: Tensor, positive: bool = True
) -> Tensor:
    r"""How much higher the chosen set ranks the target than the student does.

    .. math::
        r(a) = \Big[ \frac{1}{\mathrm{rank}_a(t)} - \frac{1}{\mathrm{rank}_S(t)} \Big]_+
        \quad \text{and} \quad r(\emptyset) = 0

    Unlike a margin of log-probabilities it does not punish confidence, and a mixture of teachers that err differently
    is worth more than any of them.

    Args:
        teacher_prob (Tensor): Probabilities of each teacher, zero where an answer is known already, ``[B, K, N]``.
        student_prob (Tensor): Probabilities of the student, likewise, ``[B, N]``.
        target (Tensor): Gold answers, ``[B]``, int64.
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[[0.1, 0.9, 0.0], [0.6, 0.3, 0.1]]])
        >>> student = torch.tensor([[0.5, 0.3, 0.2]])  # ranks entity 1 second
        >>> rank_reward(teachers, student, torch.tensor([1]), torch.tensor([[True, True]]))  # first by the mean
        tensor([0.5000])
    """
    mixture = torch.bmm(action.to(teacher_prob.dtype).unsqueeze(1), teacher_prob).squeeze(1)
    gain = _inverse_rank(mixture, target) - _inverse_rank(student_prob, target)
    gain = gain.clamp_min(0.0) if positive else gain
    return gain.masked_fill(~action.any(dim=-1), 0.0)


def _inverse_rank(values: Tensor, target: Tensor) -> Tensor:
    """One over the rank of the target in each row, ties realistic."""
    gold = values.gather(1, target.unsqueeze(-1))
    return 2.0 / ((values > gold).sum(dim=-1) + (values >= gold).sum(dim=-1) + 1).to(values.dtype)


def all_subsets(num_teachers: int, device: torch.device | None = None) -> Tensor:
    """All subsets of the teachers, the empty one first.

    Args:
        num_teachers (int): Number of teachers :math:`K`.
        device (torch.device, optional): Where to put them.

    Returns:
        Tensor: ``[2^K, K]`` bool.

    Example:
        >>> all_subsets(2).int().tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    code = torch.arange(math.ldexp(1, num_teachers), dtype=torch.long, device=device)
    return (code.unsqueeze(-1) >> torch.arange(num_teachers, device=device)) & 1 == 1
