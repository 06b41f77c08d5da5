"""The decoupled loss of many facts of few queries, whose soft labels are different mixtures of the same teachers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows


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
    """

    near: Tensor
    rest: Tensor
    log_all: Tensor
    log_rest: Tensor
    logits: Tensor


def view_student(student_logits: Tensor, labels: SoftLabels) -> StudentView:
    """Takes the sums of :class:`StudentView`.

    Args:
        student_logits (Tensor): ``[Q, N]``.
        labels (SoftLabels): Soft labels of the same queries.
    """
    groups = labels.groups
    s = student_logits if labels.temperature == 1.0 else student_logits / labels.temperature
    s = s - s.detach().amax(dim=-1, keepdim=True)
    at_pairs = labels.near * s[groups.row, groups.entity].unsqueeze(-1)
    near = scatter(at_pairs, groups.row, dim_size=groups.num_rows)
    rest = torch.bmm(labels.rest, s.unsqueeze(-1)).squeeze(-1)
    size = torch.bincount(groups.row, minlength=groups.num_rows)
    whole = size == s.size(-1)
    keep = ~whole[groups.row]
    minus_inf = torch.full((), -torch.inf, dtype=s.dtype, device=s.device)
    outside = s.index_put((groups.row[keep], groups.entity[keep]), minus_inf)
    return StudentView(near, rest, s.logsumexp(dim=-1), outside.logsumexp(dim=-1).masked_fill(whole, 0.0), s)


def mixed_kd_loss(
    student: StudentView, labels: SoftLabels, row: Tensor, action: Tensor, alpha: float = 1.0, beta: float | None = 1.0
) -> Tensor:
    r"""Neighbour-decoupled distillation of mixtures, averaged over facts, up to a constant.

    Its gradient is that of :func:`~torch_geometric_dsom.loss.neighbor_decoupled_kd_loss` with the logits of
    :func:`~torch_geometric_dsom.sampler.combine_logits`, a row a fact; its value leaves out the entropy of the soft
    labels, which does not depend on the student. No fact has a row of its own here. With :math:`w_{mk}` the weight of
    teacher :math:`k` for fact :math:`m`, both terms are linear in the mixture:

    .. math::
        \mathcal L_m = \tau^2 \Big[ \alpha \big( L - P_O L_O - \sum_k w_{mk} \sum_{e \in \mathcal N} p_k(e) s_e \big)
        + \beta \big( L_O - \tfrac{1}{P_O} \sum_k w_{mk} \sum_{j \in \mathcal O} p_k(j) s_j \big) \Big]

    with :math:`L, L_O` the log-sum-exps of the student's logits :math:`s` over all entities and over
    :math:`\mathcal O`, and :math:`P_O = \sum_k w_{mk} P_{O,k}`. Facts with the empty set count as zero.

    Args:
        student (StudentView): From :func:`view_student`.
        labels (SoftLabels): From :func:`soft_labels`.
        row (Tensor): Query of each fact, ``[M]``, int64.
        action (Tensor): Teachers chosen for each fact, ``[M, K]`` bool.
        alpha (float): Weight of the neighbour term. (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O` of each fact if :obj:`None`.
            (default: :obj:`1.0`)

    Returns:
        Tensor: A scalar.
    """
    size = action.sum(dim=-1)
    weight = action / size.clamp_min(1).unsqueeze(-1).to(student.logits.dtype)
    mass = (weight * labels.rest_mass[row]).sum(dim=-1)
    near = student.log_all[row] - mass * student.log_rest[row] - (weight * student.near[row]).sum(dim=-1)
    tiny = torch.finfo(mass.dtype).tiny
    rest = student.log_rest[row] - (weight * student.rest[row]).sum(dim=-1) / mass.clamp_min(tiny)
    rest = torch.where(mass > tiny, rest, torch.zeros_like(rest))
    loss = torch.where(size > 0, alpha * near + (mass if beta is None else beta) * rest, torch.zeros_like(near))
    return labels.temperature**2 * loss.sum() / max(loss.numel(), 1)
