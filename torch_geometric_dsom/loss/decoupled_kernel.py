"""The decoupled loss of each query with its gradient made in the same pass, for frozen teachers and sparse groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.loss.parted import PartedLogits, part_logits

MOST_PAIRS = 1 / 16  # a mask that holds more is no sparse group


class Form(NamedTuple):
    """The weights of the terms, see :func:`~torch_geometric_dsom.loss.neighbor_decoupled_kd_loss`.

    Args:
        alpha (float, optional): Weight inside.
        beta (float, optional): Weight outside.
        omega (float, optional): Weight of the masses in form B; form A if :obj:`None`.
        temperature (float): Temperature.
    """

    alpha: float | None
    beta: float | None
    omega: float | None
    temperature: float


Reference = Callable[[Tensor], Tensor]


def sparse_groups(student: Tensor, teacher: Tensor, groups: GroupRows | Tensor) -> GroupRows | None:
    """The groups as pairs where the kernel is good for them, else nothing.

    It is for frozen teachers and small groups. A mask is counted for that, but not on an accelerator, which would wait
    for it; and a compiler does better with plain operations.

    Args:
        student (Tensor): Logits ``[B, N]``.
        teacher (Tensor): Logits ``[B, N]``.
        groups (GroupRows or Tensor): Neighbours, as rows or as a bool mask ``[B, N]``.
    """
    if torch.compiler.is_compiling() or student.numel() == 0 or (teacher.requires_grad and torch.is_grad_enabled()):
        return None
    if isinstance(groups, GroupRows):
        return groups
    if groups.device.type != "cpu" or int(groups.count_nonzero()) > MOST_PAIRS * groups.numel():
        return None
    row, entity = groups.nonzero(as_tuple=True)
    return GroupRows(row, entity, groups.size(0))


def decoupled_kd_rows(student: Tensor, teacher: Tensor, groups: GroupRows, form: Form, reference: Reference) -> Tensor:
    """The loss of each query, ``[B]``.

    Args:
        student (Tensor): Logits ``[B, N]``.
        teacher (Tensor): Logits ``[B, N]``, without a graph.
        groups (GroupRows): Neighbour group of each query.
        form (Form): The weights of the terms.
        reference (callable): The same from the student's logits in plain operations, for derivatives of the gradient.
    """
    rows: Tensor = _DecoupledKD.apply(student, teacher.detach(), groups, form, reference)  # type: ignore[no-untyped-call]
    return rows


class _DecoupledKD(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, groups: GroupRows, form: Form, reference: Reference
    ) -> Tensor:
        s, t = (z / form.temperature for z in (student, teacher))
        s.sub_(s.amax(dim=-1, keepdim=True))
        t.sub_(t.amax(dim=-1, keepdim=True))
        ours, theirs = part_logits(s, groups), part_logits(t, groups)
        rest = t.sub_(s).mul_(theirs.outside).sum(dim=-1) - (theirs.log_rest - ours.log_rest)
        value = _value(ours, theirs, rest.masked_fill(ours.whole, 0.0), groups, form)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(student, _gradient(ours, theirs, groups, form))
            ctx.reference = reference
        return value

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        student, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody will differentiate again
            value = ctx.reference(student)
            (gradient,) = torch.autograd.grad(value, student, grad_output, create_graph=True)
            return gradient, None, None, None, None
        return gradient * grad_output.unsqueeze(-1), None, None, None, None


def _masses(parted: PartedLogits) -> tuple[Tensor, Tensor]:
    """Mass inside and outside, ``[B]`` each."""
    near = (parted.log_near - parted.log_all).exp().masked_fill(parted.empty, 0.0)
    return near, (parted.log_rest - parted.log_all).exp().masked_fill(parted.whole, 0.0)


def _value(ours: PartedLogits, theirs: PartedLogits, rest: Tensor, groups: GroupRows, form: Form) -> Tensor:
    alpha, beta, omega, temperature = form
    each = groups.row
    near_mass, rest_mass = _masses(theirs)
    out_ratio = (theirs.log_rest - theirs.log_all) - (ours.log_rest - ours.log_all)
    masses = rest_mass * out_ratio.masked_fill(ours.whole, 0.0)
    loss = (rest_mass if beta is None else beta) * rest
    if omega is None:
        assert alpha is not None
        log_t, log_s = (parted.pairs - parted.log_all[each] for parted in (theirs, ours))
        near = scatter(log_t.exp() * (log_t - log_s), each, dim_size=groups.num_rows)
        loss = loss + alpha * (near + masses)
    else:
        log_t, log_s = (parted.pairs - parted.log_near[each] for parted in (theirs, ours))
        inside = scatter(log_t.exp() * (log_t - log_s), each, dim_size=groups.num_rows)
        in_ratio = (theirs.log_near - theirs.log_all) - (ours.log_near - ours.log_all)
        masses = masses + near_mass * in_ratio.masked_fill(ours.empty, 0.0)
        loss = loss + omega * masses + (near_mass if alpha is None else alpha) * inside
    value: Tensor = temperature**2 * loss
    return value


def _gradient(ours: PartedLogits, theirs: PartedLogits, groups: GroupRows, form: Form) -> Tensor:
    """In the memory of what the student gives outside."""
    alpha, beta, omega, temperature = form
    each = groups.row
    (our_near, our_rest), (near_mass, rest_mass) = _masses(ours), _masses(theirs)
    of_rest = (rest_mass if beta is None else torch.full_like(rest_mass, beta)).masked_fill(ours.whole, 0.0)
    p_all, p_near = ((ours.pairs - total[each]).exp() for total in (ours.log_all, ours.log_near))
    q_all, q_near = ((theirs.pairs - total[each]).exp() for total in (theirs.log_all, theirs.log_near))
    if omega is None:
        assert alpha is not None
        of_masses = alpha * (our_rest - rest_mass)
        inside = alpha * (p_all - q_all)
    else:
        of_near = near_mass if alpha is None else torch.full_like(near_mass, alpha)
        of_masses = omega * (our_rest - rest_mass)
        inside = (omega * (our_near - near_mass))[each] * p_near + of_near[each] * (p_near - q_near)
    out = ours.outside.mul_((of_masses + of_rest).unsqueeze(-1).mul(temperature))
    out.addcmul_(theirs.outside, of_rest.unsqueeze(-1), value=-temperature)
    out.index_put_((each, groups.entity), inside * temperature)
    return out
