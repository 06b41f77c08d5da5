"""The decoupled loss of many facts of few queries, whose soft labels are different mixtures of the same teachers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.parted import part_logits


class SoftLabels(NamedTuple):
    """Distributions of :math:`K` frozen teachers over the answers to :math:`Q` queries, parted by neighbour groups.

    Args:
        rest (Tensor): Probabilities outside the group times :obj:`factor`, zero inside, ``[Q, K, N]``; quickest where
            the values of a teacher lie together.
        near (Tensor): Probabilities of the pairs of :obj:`groups`, ``[nnz, K]``.
        rest_mass (Tensor): Mass outside the group, ``[Q, K]``.
        groups (GroupRows): Neighbour group of each query.
        temperature (float): Temperature of the distributions.
        near_mass (Tensor, optional): Mass inside the group, ``[Q, K]``; the sum of :obj:`near` if :obj:`None`.
        factor (float): What :obj:`rest` is times too large. (default: :obj:`1.0`)
    """

    rest: Tensor
    near: Tensor
    rest_mass: Tensor
    groups: GroupRows
    temperature: float
    near_mass: Tensor | None = None
    factor: float = 1.0

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
        prob[self.groups.row, :, self.groups.entity] = self.near * self.factor
        mixed = torch.bmm(mixture.unsqueeze(1) / self.factor, prob[row]).squeeze(1)
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
    for logits in teacher_logits.unbind(dim=1):  # in place: fresh memory would cost more than the arithmetic
        torch.softmax(logits if temperature == 1.0 else logits.div_(temperature), dim=-1, out=logits)
    return part_labels(teacher_logits, groups, temperature)


@torch.no_grad()
def part_labels(prob: Tensor, groups: GroupRows, temperature: float = 1.0, factor: float = 1.0) -> SoftLabels:
    """Parts distributions of teachers that are softened already.

    Args:
        prob (Tensor): The distributions times :obj:`factor`, ``[Q, K, N]``; overwritten.
        groups (GroupRows): Neighbour group of each query, :math:`Q` rows.
        temperature (float): Temperature that they were softened with. (default: :obj:`1.0`)
        factor (float): A pass over all of them is saved where a factor is left in. (default: :obj:`1.0`)

    Returns:
        SoftLabels: What :func:`mixed_kd_loss` distils.
    """
    near = prob[groups.row, :, groups.entity] / factor
    prob[groups.row, :, groups.entity] = prob.new_zeros(())  # a number would be copied to a GPU, which waits
    return SoftLabels(prob, near, prob.sum(dim=-1) / factor, groups, temperature, factor=factor)


class StudentView(NamedTuple):
    """What loss, gradient and agent need of the student: its logits and a few sums over them.

    Args:
        logits (Tensor): Logits over temperature, ``[Q, N]``.
        outside (Tensor): Softmax over the entities outside the group, zero inside, ``[Q, N]``.
        pairs (Tensor): Logits of the pairs of the groups, ``[nnz]``.
        near (Tensor): Sum over the group of teacher probability times student log-probability, ``[Q, K]``.
        rest (Tensor): The same outside the group, ``[Q, K]``.
        log_all (Tensor): Log-sum-exp of all logits, ``[Q]``.
        log_near (Tensor): Log-sum-exp of the logits inside the group, ``[Q]``; 0 where there are none.
        log_rest (Tensor): Log-sum-exp of the logits outside the group, ``[Q]``; 0 where there are none.
        whole (Tensor): Which groups hold every entity, ``[Q]`` bool.
    """

    logits: Tensor
    outside: Tensor
    pairs: Tensor
    near: Tensor
    rest: Tensor
    log_all: Tensor
    log_near: Tensor
    log_rest: Tensor
    whole: Tensor

    def log_prob(self, row: Tensor, entity: Tensor) -> Tensor:
        """Log-probabilities of some answers, ``[M]``."""
        return self.logits[row, entity] - self.log_all[row]

    def prob(self) -> Tensor:
        """Probabilities of all answers, ``[Q, N]``."""
        return (self.logits - self.log_all.unsqueeze(-1)).exp_()


@torch.no_grad()
def view_student(student_logits: Tensor, labels: SoftLabels, room: Tensor | None = None) -> StudentView:
    """Takes the sums of :class:`StudentView`.

    Args:
        student_logits (Tensor): ``[Q, N]``; overwritten by those of the view.
        labels (SoftLabels): Soft labels of the same queries.
        room (Tensor, optional): Memory for :obj:`StudentView.outside`, ``[Q, N]``; fresh memory if :obj:`None`.
    """
    s = student_logits
    if labels.temperature != 1.0:
        s.div_(labels.temperature)
    room = torch.empty_like(s) if room is None else room
    near, rest = _expectations(s, labels, room)
    of = part_logits(s, labels.groups, room)
    near -= of.log_all.unsqueeze(-1) * _near_mass(labels)
    rest -= of.log_all.unsqueeze(-1) * labels.rest_mass
    return StudentView(s, room, of.pairs, near, rest, of.log_all, of.log_near, of.log_rest, of.whole)


def _expectations(values: Tensor, labels: SoftLabels, room: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sums of teacher probability times value inside and outside the group, ``[Q, K]`` each."""
    groups = labels.groups
    at_pairs = labels.near * values[groups.row, groups.entity].unsqueeze(-1)
    near = scatter(at_pairs, groups.row, dim_size=groups.num_rows)
    room = torch.empty_like(values) if room is None else room
    rest = [torch.mul(part, values, out=room).sum(dim=-1) for part in labels.rest.unbind(dim=1)]
    return near, torch.stack(rest, dim=-1) / labels.factor


class Weights(NamedTuple):
    r"""The weights of facts in the terms of the loss, see :func:`mixed_kd_weights`; ``[M]``, or ``[M, K]``.

    With :math:`L, L_N, L_O` the log-sum-exps of the student over everything, the group and the rest, and
    :math:`E_{N,k}, E_{O,k}` the sums of teacher probability times student logit, the loss of a fact is
    :math:`a L + b L_O + c L_N - \sum_k (u_k E_{N,k} + v_k E_{O,k})`. With logits from which :math:`L` is taken, log
    probabilities, it is the same, and the first term vanishes.
    """

    all: Tensor
    rest: Tensor
    near: Tensor
    near_teachers: Tensor
    rest_teachers: Tensor


def mixed_kd_weights(
    labels: SoftLabels,
    row: Tensor,
    mixture: Tensor,
    alpha: float | None = 1.0,
    beta: float | None = 1.0,
    omega: float | None = None,
) -> Weights:
    r"""What each term of the decoupled loss of mixtures counts.

    With :math:`w_k` the weights of the teachers for a fact, :math:`P_N, P_O` the masses of their mixture and
    :math:`p_k` their distributions, form A is

    .. math::
        \alpha \big( L - P_O L_O - \sum_k w_k \sum_{e \in \mathcal N} p_k(e) s_e \big)
        + \beta \big( L_O - \tfrac{1}{P_O} \sum_k w_k \sum_{j \in \mathcal O} p_k(j) s_j \big)

    and form B

    .. math::
        \omega \big( L - P_N L_N - P_O L_O \big)
        + \alpha \big( L_N - \tfrac{1}{P_N} \sum_k w_k \sum_{e \in \mathcal N} p_k(e) s_e \big)
        + \beta \big( L_O - \tfrac{1}{P_O} \sum_k w_k \sum_{j \in \mathcal O} p_k(j) s_j \big) ,

    both linear in the log-sum-exps and in the sums over the teachers. A term whose mass is zero counts nothing, and so
    does a fact with the empty set.

    Args:
        labels (SoftLabels): From :func:`soft_labels`.
        row (Tensor): Query of each fact, ``[M]``, int64.
        mixture (Tensor): Weights of the teachers for each fact, ``[M, K]``; rows sum to one, or are zero; see
            :func:`~torch_geometric_dsom.sampler.mixture_weights`.
        alpha (float, optional): Weight of the neighbour term; with form B :math:`P_N` of each fact if :obj:`None`.
            (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; :math:`P_O` of each fact if :obj:`None`.
            (default: :obj:`1.0`)
        omega (float, optional): Weight of the term of the groups' masses in form B; form A if :obj:`None`.
    """
    chosen = (mixture > 0).any(dim=-1).to(mixture.dtype)
    rest_mass = (mixture * labels.rest_mass[row]).sum(dim=-1)
    beta_, over_rest = _term(rest_mass, beta)
    rest_teachers = over_rest.unsqueeze(-1) * mixture
    if omega is None:
        if alpha is None:
            raise ConfigError("alpha: expected a number where omega is None, got None")
        return Weights(alpha * chosen, beta_ - alpha * rest_mass, 0 * chosen, alpha * mixture, rest_teachers)
    near_mass = (mixture * _near_mass(labels)[row]).sum(dim=-1)
    alpha_, over_near = _term(near_mass, alpha)
    return Weights(
        omega * chosen,
        beta_ - omega * rest_mass,
        alpha_ - omega * near_mass,
        over_near.unsqueeze(-1) * mixture,
        rest_teachers,
    )


def _term(mass: Tensor, weight: float | None) -> tuple[Tensor, Tensor]:
    """Weight of a renormalised term, and that weight over the mass; zeros where there is no mass."""
    there = mass > torch.finfo(mass.dtype).tiny
    weights = (mass if weight is None else torch.full_like(mass, weight)) * there
    return weights, weights / torch.where(there, mass, torch.ones_like(mass))


@torch.no_grad()
def mixed_kd_loss(student: StudentView, labels: SoftLabels, row: Tensor, weights: Weights) -> Tensor:
    r"""Neighbour-decoupled distillation of mixtures, averaged over facts, up to a constant.

    No fact has a row of its own. Its gradient, :func:`mixed_kd_gradient_`, is that of
    :func:`~torch_geometric_dsom.loss.neighbor_decoupled_kd_loss` with the logits of
    :func:`~torch_geometric_dsom.sampler.combine_logits`, a row a fact; its value leaves out the entropy of the soft
    labels, which does not depend on the student.

    Args:
        student (StudentView): From :func:`view_student`.
        labels (SoftLabels): From :func:`soft_labels`.
        row (Tensor): Query of each fact, ``[M]``, int64.
        weights (Weights): From :func:`mixed_kd_weights`.

    Returns:
        Tensor: A scalar, without a graph.
    """
    loss = weights.rest * (student.log_rest - student.log_all)[row]
    loss = loss + weights.near * (student.log_near - student.log_all)[row]
    loss = loss - (weights.near_teachers * student.near[row] + weights.rest_teachers * student.rest[row]).sum(dim=-1)
    return labels.temperature**2 * loss.sum() / max(loss.numel(), 1)


@torch.no_grad()
def mixed_kd_gradient_(
    student: StudentView,
    labels: SoftLabels,
    row: Tensor,
    weights: Weights,
    scale: float = 1.0,
    everywhere: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Gradient of :func:`mixed_kd_loss` with respect to the student's logits; ``student.outside`` is overwritten.

    Outside the groups every coefficient is a number of the row: one product with the softmax that is there already, and
    one for each teacher. Inside, it is a sparse sum, linear in the size of the groups.

    Args:
        student (StudentView): From :func:`view_student`.
        labels (SoftLabels): From :func:`soft_labels`.
        row (Tensor): Query of each fact, ``[M]``, int64.
        weights (Weights): From :func:`mixed_kd_weights`.
        scale (float): Factor of the gradient. (default: :obj:`1.0`)
        everywhere (Tensor, optional): Factors of the student's softmax over all entities to be added, ``[Q]``: the
            dense part of a cross-entropy's gradient at the same temperature comes for free.
        out (Tensor, optional): Memory for the gradient, ``[Q, N]``, such as that of ``student.logits``; that of
            ``student.outside`` if :obj:`None`.

    Returns:
        Tensor: ``[Q, N]``.
    """
    groups, dense = labels.groups, student.outside
    scale = scale * labels.temperature / max(row.numel(), 1)
    number = groups.num_rows
    of_all, of_rest, of_near, near_teachers, rest_teachers = (
        value.new_zeros(number, *value.shape[1:]).index_add_(0, row, value).mul_(scale) for value in weights
    )
    if everywhere is not None:
        of_all = of_all + everywhere
    of_row = of_all * (student.log_rest - student.log_all).exp() + of_rest
    dense.mul_(of_row.masked_fill(student.whole, 0.0).unsqueeze(-1))
    *others, last = zip(labels.rest.unbind(dim=1), rest_teachers.unsqueeze(-1).unbind(dim=1), strict=True)
    for part, weight in others:
        dense.addcmul_(part, weight, value=-1.0 / labels.factor)
    out = torch.addcmul(dense, *last, value=-1.0 / labels.factor, out=dense if out is None else out)
    pair = groups.row
    inside = of_all[pair] * (student.pairs - student.log_all[pair]).exp()
    inside += of_near[pair] * (student.pairs - student.log_near[pair]).exp()
    inside -= (near_teachers[pair] * labels.near).sum(dim=-1)
    return out.index_put_((pair, groups.entity), inside)


def _near_mass(labels: SoftLabels) -> Tensor:
    if labels.near_mass is not None:
        return labels.near_mass
    mass: Tensor = scatter(labels.near, labels.groups.row, dim_size=labels.groups.num_rows)
    return mass
