"""The decoupled loss of many facts of few queries, whose soft labels are different mixtures of the same teachers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import group_sizes, log_inside, outside


class SoftLabels(NamedTuple):
    """Distributions of :math:`K` frozen teachers over the answers to :math:`Q` queries, parted by neighbour groups.

    Args:
        rest (Tensor): Probabilities outside the group, zero inside, ``[Q, K, N]``.
        near (Tensor): Probabilities of the pairs of :obj:`groups`, ``[nnz, K]``.
        rest_mass (Tensor): Mass outside the group, ``[Q, K]``.
        groups (GroupRows): Neighbour group of each query.
        temperature (float): Temperature of the distributions.
    """

    rest: Tensor
    near: Tensor
    rest_mass: Tensor
    groups: GroupRows
    temperature: float

    def dot(self, values: Tensor) -> Tensor:
        """Expectation of values under each teacher, ``[Q, N]`` to ``[Q, K]``."""
        near, rest = _expectations(values, self)
        return near + rest

    def mixture_logits(self, row: Tensor, mixture: Tensor) -> Tensor:
        r"""Logits of mixtures, :math:`\tau \log \sum_k w_k p_k`, a row a fact; zeros where the weights are zero.

        Args:
            row (Tensor): Query of each fact, ``[M]``, int64.
            mixture (Tensor): Weights :math:`w`, ``[M, K]``.

        Returns:
            Tensor: ``[M, N]``.
        """
        prob = self.rest.clone()
        prob[self.groups.row, :, self.groups.entity] = self.near
        mixed = torch.bmm(mixture.unsqueeze(1), prob[row]).squeeze(1)
        logits = self.temperature * mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log()
        return logits.masked_fill((mixture == 0).all(dim=-1, keepdim=True), 0.0)


@torch.no_grad()
def soft_labels(teacher_logits: Tensor, groups: GroupRows, temperature: float = 1.0) -> SoftLabels:
    """Softens the logits of teachers and parts them.

    Args:
        teacher_logits (Tensor): ``[Q, K, N]``; overwritten.
        groups (GroupRows): Neighbour group of each query, :math:`Q` rows.
        temperature (float): Temperature :math:`> 0`. (default: :obj:`1.0`)

    Returns:
        SoftLabels: What :func:`mixed_kd_loss` distils.
    """
    prob = teacher_logits  # a softmax in place: fresh memory of this size would cost more than the arithmetic
    prob.sub_(prob.amax(dim=-1, keepdim=True)).div_(temperature).exp_()
    prob.div_(prob.sum(dim=-1, keepdim=True))
    near = prob[groups.row, :, groups.entity]
    prob[groups.row, :, groups.entity] = 0.0
    return SoftLabels(prob, near, prob.sum(dim=-1), groups, temperature)


class StudentView(NamedTuple):
    """What the loss needs of the student: sums over its logits, one pass each.

    Args:
        near (Tensor): Sum over the group of teacher probability times student logit, ``[Q, K]``.
        rest (Tensor): The same outside the group, ``[Q, K]``.
        log_all (Tensor): Log-sum-exp of all logits, ``[Q]``.
        log_rest (Tensor): Log-sum-exp of the logits outside the group, ``[Q]``; 0 where there are none.
        logits (Tensor): Logits over temperature, shifted by the row maximum, ``[Q, N]``.
        log_near (Tensor, optional): Log-sum-exp of the logits inside the group, ``[Q]``; 0 where there are none. Only
            form B needs it.
    """

    near: Tensor
    rest: Tensor
    log_all: Tensor
    log_rest: Tensor
    logits: Tensor
    log_near: Tensor | None = None


def view_student(student_logits: Tensor, labels: SoftLabels, inside: bool = False) -> StudentView:
    """Takes the sums of :class:`StudentView`.

    Args:
        student_logits (Tensor): ``[Q, N]``.
        labels (SoftLabels): Soft labels of the same queries.
        inside (bool): Whether form B is wanted, which needs one sum more. (default: :obj:`False`)
    """
    groups = labels.groups
    s = student_logits if labels.temperature == 1.0 else student_logits / labels.temperature
    s = s - s.detach().amax(dim=-1, keepdim=True)
    near, rest = _expectations(s, labels)
    size = group_sizes(groups, s)
    whole = size == s.size(-1)
    log_rest = outside(s, groups, whole).logsumexp(dim=-1).masked_fill(whole, 0.0)
    log_near = log_inside(s[groups.row, groups.entity], groups, size == 0) if inside else None
    return StudentView(near, rest, s.logsumexp(dim=-1), log_rest, s, log_near)


def _expectations(values: Tensor, labels: SoftLabels) -> tuple[Tensor, Tensor]:
    """Sums of teacher probability times value inside and outside the group, ``[Q, K]`` each."""
    groups = labels.groups
    at_pairs = labels.near * values[groups.row, groups.entity].unsqueeze(-1)
    near = scatter(at_pairs, groups.row, dim_size=groups.num_rows)
    return near, torch.bmm(labels.rest, values.unsqueeze(-1)).squeeze(-1)


def mixed_kd_loss(
    student: StudentView,
    labels: SoftLabels,
    row: Tensor,
    mixture: Tensor,
    alpha: float | None = 1.0,
    beta: float | None = 1.0,
    omega: float | None = None,
) -> Tensor:
    r"""Neighbour-decoupled distillation of mixtures, averaged over facts, up to a constant.

    Its gradient is that of :func:`~torch_geometric_dsom.loss.neighbor_decoupled_kd_loss` with the logits of
    :func:`~torch_geometric_dsom.sampler.combine_logits`, a row a fact; its value leaves out the entropy of the soft
    labels, which does not depend on the student. No fact has a row of its own here. With :math:`w_{mk}` the weight of
    teacher :math:`k` for fact :math:`m`, both terms of form A are linear in the mixture:

    .. math::
        \mathcal L_m = \tau^2 \Big[ \alpha \big( L - P_O L_O - \sum_k w_{mk} \sum_{e \in \mathcal N} p_k(e) s_e \big)
        + \beta \big( L_O - \tfrac{1}{P_O} \sum_k w_{mk} \sum_{j \in \mathcal O} p_k(j) s_j \big) \Big]

    with :math:`L, L_N, L_O` the log-sum-exps of the student's logits :math:`s` over all entities, over
    :math:`\mathcal N` and over :math:`\mathcal O`, and :math:`P_O = \sum_k w_{mk} P_{O,k}`; and so are those of form B:

    .. math::
        \mathcal L_m = \tau^2 \Big[ \omega \big( L - P_N L_N - P_O L_O \big)
        + \alpha \big( L_N - \tfrac{1}{P_N} \sum_k w_{mk} \sum_{e \in \mathcal N} p_k(e) s_e \big)
        + \beta \big( L_O - \tfrac{1}{P_O} \sum_k w_{mk} \sum_{j \in \mathcal O} p_k(j) s_j \big) \Big]

    Facts with the empty set count as zero.

    Args:
        student (StudentView): From :func:`view_student`.
        labels (SoftLabels): From :func:`soft_labels`.
        row (Tensor): Query of each fact, ``[M]``, int64.
        mixture (Tensor): Weights of the teachers for each fact, ``[M, K]``; rows sum to one, or are zero; see
            :func:`~torch_geometric_dsom.sampler.mixture_weights`.
        alpha (float, optional): Weight of the neighbour term; with form B :math:`P_N` of each fact if :obj:`None`.
            (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O` of each fact if :obj:`None`.
            (default: :obj:`1.0`)
        omega (float, optional): Weight of the term of the groups' masses in form B; form A if :obj:`None`.

    Returns:
        Tensor: A scalar.

    Raises:
        ConfigError: If form B is asked of a view that was not made for it.
    """
    rest_mass = (mixture * labels.rest_mass[row]).sum(dim=-1)
    tiny = torch.finfo(rest_mass.dtype).tiny
    near = (mixture * student.near[row]).sum(dim=-1)
    rest = student.log_rest[row] - (mixture * student.rest[row]).sum(dim=-1) / rest_mass.clamp_min(tiny)
    rest = torch.where(rest_mass > tiny, rest, torch.zeros_like(rest))
    loss = (rest_mass if beta is None else beta) * rest
    if omega is None:
        assert alpha is not None
        loss = loss + alpha * (student.log_all[row] - rest_mass * student.log_rest[row] - near)
    else:
        if student.log_near is None:
            raise ConfigError("student: expected a view with inside=True for form B, got one without")
        near_mass = (mixture * _near_mass(labels)[row]).sum(dim=-1)
        masses = student.log_all[row] - near_mass * student.log_near[row] - rest_mass * student.log_rest[row]
        inside = student.log_near[row] - near / near_mass.clamp_min(tiny)
        inside = torch.where(near_mass > tiny, inside, torch.zeros_like(inside))
        loss = loss + omega * masses + (near_mass if alpha is None else alpha) * inside
    loss = loss.masked_fill((mixture == 0).all(dim=-1), 0.0)
    return labels.temperature**2 * loss.sum() / max(loss.numel(), 1)


def _near_mass(labels: SoftLabels) -> Tensor:
    mass: Tensor = scatter(labels.near, labels.groups.row, dim_size=labels.groups.num_rows)
    return mass
