"""Logit distillation decoupled into neighbour and non-neighbour entities."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import (
    as_float,
    check_logits,
    check_reduction,
    check_temperature,
    group_sizes,
    log_inside,
    outside,
    reduce,
)
from torch_geometric_dsom.loss.decoupled_kernel import Form, decoupled_kd_rows, sparse_groups
from torch_geometric_dsom.loss.standardize import standardize_logits


class KDTerms(NamedTuple):
    r"""The parts of the decoupled loss, a value a query: ``neighbors = masses + neighbor_mass * inside``.

    Args:
        neighbors (Tensor): KL over the entities of the group and the mass of the rest, ``[B]``.
        rest (Tensor): KL over the rest, renormalised, ``[B]``.
        rest_mass (Tensor): The teacher's mass :math:`P_O^T` of the rest, ``[B]``.
        masses (Tensor): KL between the masses of group and rest, ``[B]``.
        inside (Tensor): KL over the group, renormalised, ``[B]``.
        neighbor_mass (Tensor): The teacher's mass :math:`P_N^T` of the group, ``[B]``.
    """

    neighbors: Tensor
    rest: Tensor
    rest_mass: Tensor
    masses: Tensor
    inside: Tensor
    neighbor_mass: Tensor


def neighbor_decoupled_kd_terms(
    student_logits: Tensor,
    teacher_logits: Tensor,
    groups: GroupRows | Tensor,
    temperature: float = 1.0,
    standardize: bool = False,
) -> KDTerms:
    r"""The terms of :func:`neighbor_decoupled_kd_loss`, without weights and without :math:`\tau^2`.

    All in log-space: masses are differences of log-sum-exps, so logits of any finite size stay finite.

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``.
        groups (GroupRows or Tensor): Neighbours, as rows or as a bool mask ``[B, N]``.
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        standardize (bool): Whether logits are standardised first, see
            :func:`~torch_geometric_dsom.loss.standardize_logits`. (default: :obj:`False`)

    Returns:
        KDTerms: Never below zero but for rounding.

    Raises:
        ConfigError: If shapes disagree, groups are missing, or the temperature is not positive.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import neighbor_decoupled_kd_terms
        >>> teacher = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> terms = neighbor_decoupled_kd_terms(teacher, teacher, torch.tensor([[True, False, False]]))
        >>> round(float(terms.neighbor_mass), 4), round(float(terms.masses), 4)
        (0.5, 0.0)
    """
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits, groups, needs_groups=True)
    s, t = as_float(student_logits), as_float(teacher_logits)
    if standardize:
        s, t = standardize_logits(s), standardize_logits(t)
    s, t = s / temperature, t / temperature
    s = s - s.amax(dim=-1, keepdim=True).detach()
    t = t - t.amax(dim=-1, keepdim=True).detach()
    size = group_sizes(groups, s)
    whole, empty = size == s.size(-1), size == 0
    s_rest, t_rest = outside(s, groups, whole), outside(t, groups, whole)
    s_all, t_all = s.logsumexp(dim=-1), t.logsumexp(dim=-1)
    s_out, t_out = s_rest.logsumexp(dim=-1), t_rest.logsumexp(dim=-1)
    s_near, t_near = _at(s, groups), _at(t, groups)
    s_in, t_in = _log_inside(s_near, groups, empty), _log_inside(t_near, groups, empty)

    log_p_t, log_p_s = t_near - _each(t_all, groups), s_near - _each(s_all, groups)
    near = _sum_inside(log_p_t.exp() * (log_p_t - log_p_s), groups)
    rest_mass = (t_out - t_all).exp().masked_fill(whole, 0.0)
    near_mass = (t_in - t_all).exp().masked_fill(empty, 0.0)
    out_ratio = ((t_out - t_all) - (s_out - s_all)).masked_fill(whole, 0.0)
    in_ratio = ((t_in - t_all) - (s_in - s_all)).masked_fill(empty, 0.0)
    neighbors = near + rest_mass * out_ratio
    masses = near_mass * in_ratio + rest_mass * out_ratio
    # Inside the group the exponent is never above zero; outside, where it may be huge, it is not used.
    p_near = (t_near - _each(t_in, groups)).clamp_max(0.0).exp()
    inside = _sum_inside(p_near * (t_near - s_near), groups) - (t_in - s_in)
    rest = ((t_rest - t_out.unsqueeze(-1)).exp() * (t - s)).sum(dim=-1) - (t_out - s_out)
    return KDTerms(
        neighbors, rest.masked_fill(whole, 0.0), rest_mass, masses, inside.masked_fill(empty, 0.0), near_mass
    )


def neighbor_decoupled_kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    groups: GroupRows | Tensor,
    alpha: float | None = 1.0,
    beta: float | None = 1.0,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    omega: float | None = None,
    standardize: bool = False,
) -> Tensor:
    r"""Knowledge distillation decoupled into neighbours :math:`\mathcal N` and the rest :math:`\mathcal O`.

    Implements the published description of `"Dark Side of Modalities: Reinforced Multimodal Distillation for
    Multimodal Knowledge Graph Reasoning" <https://arxiv.org/abs/2507.20738>`_, in the manner of `"Decoupled Knowledge
    Distillation" <https://arxiv.org/abs/2203.08679>`_. With :math:`p = \mathrm{softmax}(z / \tau)` of teacher
    (:math:`T`) and student (:math:`S`), :math:`P_N, P_O` the masses of :math:`\mathcal N` and :math:`\mathcal O`, and a
    hat for renormalisation within them, form A is

    .. math::
        \mathcal L = \tau^2 \Big[ \alpha \, \mathrm{KL}\big( (\{p^T_e\}_{e \in \mathcal N}, P_O^T) \,\big\|\,
        (\{p^S_e\}_{e \in \mathcal N}, P_O^S) \big)
        + \beta \, \mathrm{KL}\big( \hat p^T_O \,\big\|\, \hat p^S_O \big) \Big]

    and form B, with a weight :math:`\omega` of its own for the masses,

    .. math::
        \mathcal L = \tau^2 \Big[ \omega \, \mathrm{KL}\big( (P_N^T, P_O^T) \,\big\|\, (P_N^S, P_O^S) \big)
        + \alpha \, \mathrm{KL}\big( \hat p^T_N \,\big\|\, \hat p^S_N \big)
        + \beta \, \mathrm{KL}\big( \hat p^T_O \,\big\|\, \hat p^S_O \big) \Big]

    With :math:`\mathcal N` the target alone, form A is DKD. With :math:`\alpha = 1, \beta = P_O^T` form A, and with
    :math:`\omega = 1, \alpha = P_N^T, \beta = P_O^T` form B, is plain distillation. A group that holds every entity has
    no rest, an empty one no inside: those terms are zero.

    For frozen teachers and sparse groups the gradient is made together with the value.

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``; gradients flow into it where it asks for them.
        groups (GroupRows or Tensor): Neighbours, from :meth:`NeighborIndex.rows
            <torch_geometric_dsom.data.NeighborIndex.rows>` or as a bool mask ``[B, N]``.
        alpha (float, optional): Weight of the neighbour term; in form B :math:`P_N^T` of each query if :obj:`None`.
            (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O^T` of each query if :obj:`None`.
            (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``; :obj:`"mean"` still divides by :math:`B`.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        omega (float, optional): Weight of the masses in form B; form A if :obj:`None`.
        standardize (bool): Whether the logits of both are standardised first, see
            :func:`~torch_geometric_dsom.loss.standardize_logits`. (default: :obj:`False`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, groups are missing, the temperature is not positive, the reduction is unknown,
            or ``alpha`` is missing in form A.

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
    _check_weights(alpha, omega)
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits, groups, needs_groups=True)
    s, t = as_float(student_logits), as_float(teacher_logits)
    if standardize:
        s, t = standardize_logits(s), standardize_logits(t)
    form = Form(alpha, beta, omega, temperature)
    pairs = sparse_groups(s, t, groups)
    if pairs is None:
        loss = _plain_rows(s, t, groups, form)
    else:
        loss = decoupled_kd_rows(s, t, pairs, form, lambda logits: _plain_rows(logits, t, pairs, form))
    return reduce(loss, weight, reduction)


def _plain_rows(student: Tensor, teacher: Tensor, groups: GroupRows | Tensor, form: Form) -> Tensor:
    """The loss of each query in plain operations, ``[B]``."""
    alpha, beta, omega, temperature = form
    terms = neighbor_decoupled_kd_terms(student, teacher, groups, temperature)
    loss = (terms.rest_mass if beta is None else beta) * terms.rest
    if omega is not None:
        loss = loss + omega * terms.masses + (terms.neighbor_mass if alpha is None else alpha) * terms.inside
    elif alpha is not None:
        loss = loss + alpha * terms.neighbors
    return temperature**2 * loss


class NeighborDecoupledKDLoss(nn.Module):
    r"""Module form of :func:`neighbor_decoupled_kd_loss`.

    Args:
        alpha (float, optional): Weight of the neighbour term; in form B :math:`P_N^T` of each query if :obj:`None`.
            (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O^T` of each query if :obj:`None`.
            (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        omega (float, optional): Weight of the masses in form B; form A if :obj:`None`.
        standardize (bool): Whether logits are standardised first. (default: :obj:`False`)

    Raises:
        ConfigError: If the temperature is not positive, the reduction is unknown, or ``alpha`` is missing in form A.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
        >>> loss = NeighborDecoupledKDLoss(temperature=2.0)
        >>> mask = torch.eye(3, dtype=torch.bool)
        >>> round(float(loss(torch.zeros(3, 3), torch.zeros(3, 3), mask)), 6)
        0.0
    """

    def __init__(
        self,
        alpha: float | None = 1.0,
        beta: float | None = 1.0,
        temperature: float = 1.0,
        reduction: str = "mean",
        omega: float | None = None,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_reduction(reduction)
        _check_weights(alpha, omega)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.reduction = reduction
        self.omega = omega
        self.standardize = standardize

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, groups: GroupRows | Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """See :func:`neighbor_decoupled_kd_loss`."""
        return neighbor_decoupled_kd_loss(
            student_logits,
            teacher_logits,
            groups,
            self.alpha,
            self.beta,
            self.temperature,
            weight,
            self.reduction,
            self.omega,
            self.standardize,
        )

    def terms(self, student_logits: Tensor, teacher_logits: Tensor, groups: GroupRows | Tensor) -> KDTerms:
        """The parts before weighting, see :func:`neighbor_decoupled_kd_terms`."""
        return neighbor_decoupled_kd_terms(student_logits, teacher_logits, groups, self.temperature, self.standardize)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        weights = f"alpha={self.alpha}, beta={self.beta}, omega={self.omega}"
        return (
            f"{weights}, temperature={self.temperature}, standardize={self.standardize}, reduction='{self.reduction}'"
        )


def _check_weights(alpha: float | None, omega: float | None) -> None:
    if alpha is None and omega is None:
        raise ConfigError("alpha: expected a number in form A, that is where omega is None, got None")


def _at(z: Tensor, groups: GroupRows | Tensor) -> Tensor:
    """Logits of the pairs, ``[nnz]``; with a mask all of them, ``[B, N]``."""
    return z if isinstance(groups, Tensor) else z[groups.row, groups.entity]


def _each(value: Tensor, groups: GroupRows | Tensor) -> Tensor:
    """A value a query in the form of :func:`_at`."""
    return value.unsqueeze(-1) if isinstance(groups, Tensor) else value[groups.row]


def _log_inside(near: Tensor, groups: GroupRows | Tensor, empty: Tensor) -> Tensor:
    """Log-sum-exp over the group of values in the form of :func:`_at`, ``[B]``; 0 where it is empty."""
    if isinstance(groups, Tensor):
        # A row without a group keeps its logits: they are finite, and the result is not used.
        inside: Tensor = near.masked_fill(~groups & ~empty.unsqueeze(-1), -torch.inf).logsumexp(dim=-1)
        return inside.masked_fill(empty, 0.0)
    return log_inside(near, groups, empty)


def _sum_inside(values: Tensor, groups: GroupRows | Tensor) -> Tensor:
    """Row sums over the group of values in the form of :func:`_at`, ``[B]``."""
    if isinstance(groups, Tensor):
        return values.masked_fill(~groups, 0.0).sum(dim=-1)
    total: Tensor = scatter(values, groups.row, dim_size=groups.num_rows)
    return total
