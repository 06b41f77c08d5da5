"""Logit distillation decoupled into neighbour and non-neighbour entities."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError

REDUCTIONS = ("mean", "sum", "none")


class KDTerms(NamedTuple):
    """The parts of the decoupled loss, a value a query.

    Args:
        neighbors (Tensor): KL over the entities of the group and the mass of the rest, ``[B]``.
        rest (Tensor): KL over the rest, renormalised, ``[B]``.
        rest_mass (Tensor): The teacher's mass :math:`P_O^T` of the rest, ``[B]``.
    """

    neighbors: Tensor
    rest: Tensor
    rest_mass: Tensor


def neighbor_decoupled_kd_terms(
    student_logits: Tensor, teacher_logits: Tensor, groups: GroupRows | Tensor, temperature: float = 1.0
) -> KDTerms:
    r"""The two terms of :func:`neighbor_decoupled_kd_loss`, without weights and without :math:`\tau^2`.

    All in log-space: masses are differences of log-sum-exps, so logits of any finite size stay finite.

    Args:
        student_logits (Tensor): ``[B, N]``.
        teacher_logits (Tensor): ``[B, N]``.
        groups (GroupRows or Tensor): Neighbours, as rows or as a bool mask ``[B, N]``.
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)

    Returns:
        KDTerms: ``neighbors``, ``rest`` and ``rest_mass``, ``[B]`` each, never below zero but for rounding.

    Raises:
        ConfigError: If shapes disagree or the temperature is not positive.
    """
    _check(student_logits, teacher_logits, groups, temperature)
    s, t = student_logits / temperature, teacher_logits / temperature
    s = s - s.amax(dim=-1, keepdim=True).detach()
    t = t - t.amax(dim=-1, keepdim=True).detach()
    s_rest, whole = _outside(s, groups)
    t_rest, _ = _outside(t, groups)
    s_all, t_all = s.logsumexp(dim=-1), t.logsumexp(dim=-1)
    s_out, t_out = s_rest.logsumexp(dim=-1), t_rest.logsumexp(dim=-1)

    inside = _sum_inside(
        (t - t_all.unsqueeze(-1)).exp() * ((t - t_all.unsqueeze(-1)) - (s - s_all.unsqueeze(-1))), groups
    )
    mass = (t_out - t_all).exp().masked_fill(whole, 0.0)  # P_O of the teacher
    neighbors = inside + mass * ((t_out - t_all) - (s_out - s_all))
    p_rest = (t_rest - t_out.unsqueeze(-1)).exp()
    rest = (p_rest * (t - s)).sum(dim=-1) - (t_out - s_out)
    return KDTerms(neighbors, rest.masked_fill(whole, 0.0), mass)


def neighbor_decoupled_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    groups: GroupRows | Tensor,
    alpha: float = 1.0,
    beta: float | None = 1.0,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Knowledge distillation decoupled into neighbours :math:`\mathcal N` and the rest :math:`\mathcal O`.

    Implements the published description of `"Dark Side of Modalities: Reinforced Multimodal Distillation for
    Multimodal Knowledge Graph Reasoning" <https://arxiv.org/abs/2507.20738>`_, in the manner of `"Decoupled Knowledge
    Distillation" <https://arxiv.org/abs/2203.08679>`_. With :math:`p = \mathrm{softmax}(z / \tau)` of teacher
    (:math:`T`) and student (:math:`S`), :math:`P_O` the mass of :math:`\mathcal O`, and a hat for renormalisation
    within :math:`\mathcal O`:

    .. math::
        \mathcal L = \tau^2 \Big[ \alpha \, \mathrm{KL}\big( (\{p^T_e\}_{e \in \mathcal N}, P_O^T) \,\big\|\,
        (\{p^S_e\}_{e \in \mathcal N}, P_O^S) \big)
        + \beta \, \mathrm{KL}\big( \hat p^T_O \,\big\|\, \hat p^S_O \big) \Big]

    With :math:`\mathcal N` the target alone it is DKD; with :math:`\alpha = 1, \beta = P_O^T` it is plain distillation.
    A group that holds every entity has no rest: its second term is zero.

    Args:
        student_logits (Tensor): ``[B, N]``.
        teacher_logits (Tensor): ``[B, N]``; gradients flow into it where it asks for them.
        groups (GroupRows or Tensor): Neighbours, from :meth:`NeighborIndex.rows
            <torch_geometric_dsom.data.NeighborIndex.rows>` or as a bool mask ``[B, N]``.
        alpha (float): Weight of the neighbour term. (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O^T` of each query if :obj:`None`, which with
            :math:`\alpha = 1` is plain distillation. (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``; :obj:`"mean"` still divides by :math:`B`.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, the temperature is not positive, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import neighbor_decoupled_kd_loss
        >>> teacher = torch.tensor([[2.0, 1.0, 0.0]])
        >>> mask = torch.tensor([[True, False, False]])
        >>> round(float(neighbor_decoupled_kd_loss(teacher, teacher, mask)), 6)
        0.0
        >>> round(float(neighbor_decoupled_kd_loss(torch.zeros(1, 3), teacher, mask)), 4)
        0.34
    """
    if reduction not in REDUCTIONS:
        raise ConfigError(f"reduction: expected one of {list(REDUCTIONS)}, got '{reduction}'")
    terms = neighbor_decoupled_kd_terms(student_logits, teacher_logits, groups, temperature)
    loss = temperature**2 * (alpha * terms.neighbors + (terms.rest_mass if beta is None else beta) * terms.rest)
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    return loss.sum() / max(loss.numel(), 1) if reduction == "mean" else loss.sum()


class NeighborDecoupledKDLoss(nn.Module):
    r"""Module form of :func:`neighbor_decoupled_kd_loss`.

    Args:
        alpha (float): Weight of the neighbour term. (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O^T` of each query if :obj:`None`, which with
            :math:`\alpha = 1` is plain distillation. (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)

    Raises:
        ConfigError: If the temperature is not positive or the reduction is unknown.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
        >>> loss = NeighborDecoupledKDLoss(temperature=2.0)
        >>> mask = torch.eye(3, dtype=torch.bool)
        >>> round(float(loss(torch.zeros(3, 3), torch.zeros(3, 3), mask)), 6)
        0.0
    """

    def __init__(
        self, alpha: float = 1.0, beta: float | None = 1.0, temperature: float = 1.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"temperature: expected a positive number, got {temperature}")
        if reduction not in REDUCTIONS:
            raise ConfigError(f"reduction: expected one of {list(REDUCTIONS)}, got '{reduction}'")
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.reduction = reduction

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, groups: GroupRows | Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """See :func:`neighbor_decoupled_kd_loss`."""
        return neighbor_decoupled_kd_loss(
            student_logits, teacher_logits, groups, self.alpha, self.beta, self.temperature, weight, self.reduction
        )

    def terms(self, student_logits: Tensor, teacher_logits: Tensor, groups: GroupRows | Tensor) -> KDTerms:
        """The parts before weighting, see :func:`neighbor_decoupled_kd_terms`."""
        return neighbor_decoupled_kd_terms(student_logits, teacher_logits, groups, self.temperature)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"alpha={self.alpha}, beta={self.beta}, temperature={self.temperature}, reduction='{self.reduction}'"


def _outside(z: Tensor, groups: GroupRows | Tensor) -> tuple[Tensor, Tensor]:
    """Logits with the group at minus infinity, and which rows have no entity outside (those are left finite)."""
    if isinstance(groups, Tensor):
        whole = groups.all(dim=-1)
        return z.masked_fill(groups & ~whole.unsqueeze(-1), -torch.inf), whole
    size = torch.zeros(groups.num_rows, dtype=torch.long, device=z.device)
    whole = size.index_add_(0, groups.row, torch.ones_like(groups.row)) == z.size(-1)
    keep = ~whole[groups.row]
    minus_inf = torch.full((), -torch.inf, dtype=z.dtype, device=z.device)
    return z.index_put((groups.row[keep], groups.entity[keep]), minus_inf), whole


def _sum_inside(values: Tensor, groups: GroupRows | Tensor) -> Tensor:
    """Row sums over the group."""
    if isinstance(groups, Tensor):
        return values.masked_fill(~groups, 0.0).sum(dim=-1)
    total: Tensor = scatter(values[groups.row, groups.entity], groups.row, dim_size=groups.num_rows)
    return total


def _check(student: Tensor, teacher: Tensor, groups: GroupRows | Tensor, temperature: float) -> None:
    if not temperature > 0:
        raise ConfigError(f"temperature: expected a positive number, got {temperature}")
    if student.dim() != 2 or student.shape != teacher.shape:
        raise ConfigError(
            "student_logits, teacher_logits: expected one shape [B, N], "
            f"got {list(student.shape)} and {list(teacher.shape)}"
        )
    if isinstance(groups, Tensor):
        if groups.dtype != torch.bool or groups.shape != student.shape:
            raise ConfigError(
                f"groups: expected a bool mask {list(student.shape)}, got {groups.dtype} {list(groups.shape)}"
            )
    elif groups.num_rows != student.size(0):
        raise ConfigError(f"groups: expected {student.size(0)} rows, got {groups.num_rows}")
