"""Distillation of the order of a teacher's best answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import (
    as_float,
    check_logits,
    check_reduction,
    check_temperature,
    group_sizes,
    inside,
    outside,
    reduce,
)


def listwise_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    groups: GroupRows | Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    k: int = 10,
) -> Tensor:
    r"""The likelihood, under the student, of the order of the teacher's :math:`k` best answers.

    The top-:math:`k` Plackett-Luce model of `"Listwise Approach to Learning to Rank"
    <https://doi.org/10.1145/1390156.1390306>`_, distilled as in `"DE-RRD: A Knowledge Distillation Framework for
    Recommender System" <https://arxiv.org/abs/2012.04357>`_. With :math:`j_1, \dots, j_k` the teacher's order and
    :math:`s` the student's logits over :math:`\tau`,

    .. math::
        \ell = - \frac{1}{k} \sum_{i=1}^{k} \Big( s_{j_i} - \log \sum_{j \notin \{j_1, \dots, j_{i-1}\}} e^{s_j} \Big)

    With groups there are two lists, :math:`\mathcal L = \tau^2 (\alpha \, \ell_N + \beta \, \ell_O)`, each of entities
    that compete among themselves; a list is as short as its group, an empty one counts as zero. Without groups there is
    one list of all entities, weighed by :math:`\alpha`. Only the order of the teacher matters, not its confidence.

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``; carries no gradient.
        groups (GroupRows or Tensor, optional): Neighbours, as rows or as a bool mask ``[B, N]``.
        alpha (float): Weight of the list of neighbours. (default: :obj:`1.0`)
        beta (float): Weight of the list of the rest. (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        k (int): Length of a list. (default: :obj:`10`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, the temperature is not positive, the reduction is unknown, or ``k`` is below
            one.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[3.0, 2.0, 1.0]])
        >>> round(float(listwise_kd_loss(torch.zeros(1, 3), teacher, k=1)), 4)  # log 3
        1.0986
    """
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits, groups)
    if k < 1:
        raise ConfigError(f"k: expected a positive number, got {k}")
    s, t = as_float(student_logits) / temperature, as_float(teacher_logits).detach()
    s = s - s.amax(dim=-1, keepdim=True).detach()
    everything = torch.full((s.size(0),), s.size(-1), dtype=torch.long, device=s.device)
    if groups is None:
        loss = alpha * _list_loss(s, t, everything, k)
    else:
        size = group_sizes(groups, s)
        whole = size == s.size(-1)
        near = _list_loss(inside(s, groups), inside(t, groups), size, k)
        rest = _list_loss(outside(s, groups, whole), outside(t, groups, whole), everything - size, k)
        loss = alpha * near + beta * rest
    return reduce(temperature**2 * loss, weight, reduction)


class ListwiseKDLoss(nn.Module):
    """Module form of :func:`listwise_kd_loss`.

    Args:
        alpha (float): Weight of the list of neighbours. (default: :obj:`1.0`)
        beta (float): Weight of the list of the rest. (default: :obj:`1.0`)
        temperature (float): Temperature :math:`> 0`. (default: :obj:`1.0`)
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        k (int): Length of a list. (default: :obj:`10`)

    Raises:
        ConfigError: If the temperature is not positive, the reduction is unknown, or ``k`` is below one.

    Example:
        >>> import torch
        >>> loss = ListwiseKDLoss(k=2)
        >>> round(float(loss(torch.zeros(1, 4), torch.tensor([[3.0, 2.0, 1.0, 0.0]]))), 4)  # (log 4 + log 3) / 2
        1.2425
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, temperature: float = 1.0, reduction: str = "mean", k: int = 10
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_reduction(reduction)
        if k < 1:
            raise ConfigError(f"k: expected a positive number, got {k}")
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.reduction = reduction
        self.k = k

    def forward(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        groups: GroupRows | Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """See :func:`listwise_kd_loss`."""
        options = (self.alpha, self.beta, self.temperature, weight, self.reduction, self.k)
        return listwise_kd_loss(student_logits, teacher_logits, groups, *options)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        weights = f"alpha={self.alpha}, beta={self.beta}, k={self.k}"
        return f"{weights}, temperature={self.temperature}, reduction='{self.reduction}'"


def _list_loss(s: Tensor, t: Tensor, size: Tensor, k: int) -> Tensor:
    """The loss of one list; entities at minus infinity do not compete, ``size`` of them do, ``[B]``."""
    k = min(k, s.size(-1))
    best = t.topk(k, dim=-1).indices
    length = size.clamp_max(k)
    listed = torch.arange(k, device=s.device) < length.unsqueeze(-1)
    chosen = s.gather(1, best)
    minus_inf = torch.full_like(chosen, -torch.inf)
    # Entities behind the list compete with every place of it; rows that have none, or no list, stay finite.
    others = s.scatter(1, best, minus_inf)
    some = (others > -torch.inf).any(dim=-1, keepdim=True)
    behind = torch.where(some, others, torch.zeros_like(others)).logsumexp(dim=-1, keepdim=True)
    low = torch.full_like(behind, torch.finfo(s.dtype).min / 4)
    chosen = torch.where(listed, chosen, low)
    tail = torch.cat([torch.where(some, behind, low), chosen.flip(-1)], dim=-1).logcumsumexp(dim=-1)
    places = (tail[:, 1:].flip(-1) - chosen).masked_fill(~listed, 0.0)
    return places.sum(dim=-1) / length.clamp_min(1)
