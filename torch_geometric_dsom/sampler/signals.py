"""What the agent sees of student and teachers, and what rewards are made of: a few numbers a fact and teacher."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data.groups import GroupRows


class TeacherSignals(NamedTuple):
    r"""Scalars of :math:`M` facts and :math:`K` teachers.

    Args:
        log_prob (Tensor): :math:`\log p_k(t)` of the target, ``[M, K]``.
        inverse_rank (Tensor): One over the unfiltered rank of the target (ties realistic), ``[M, K]``.
        entropy (Tensor): Entropy of :math:`p_k` in nats, ``[M, K]``.
        max_prob (Tensor): Largest probability of :math:`p_k`, ``[M, K]``.
        divergence (Tensor): :math:`\mathrm{KL}(p_k \| p_S)` in nats, ``[M, K]``.
        neighbor_mass (Tensor): Mass of :math:`p_k` on the neighbour group, ``[M, K]``.
        student_log_prob (Tensor): :math:`\log p_S(t)`, ``[M]``.
    """

    log_prob: Tensor
    inverse_rank: Tensor
    entropy: Tensor
    max_prob: Tensor
    divergence: Tensor
    neighbor_mass: Tensor
    student_log_prob: Tensor

    def features(self) -> Tensor:
        """All of them side by side, on scales of about one, ``[M, 6K + 1]``."""
        columns = [
            self.log_prob / 5.0,
            self.inverse_rank,
            self.entropy / 5.0,
            self.max_prob,
            self.divergence.clamp_max(20.0) / 5.0,
            self.neighbor_mass,
            self.student_log_prob.unsqueeze(-1) / 5.0,
        ]
        return torch.cat(columns, dim=-1)


@torch.no_grad()
def teacher_signals(
    student_logits: Tensor, teacher_logits: Tensor, row: Tensor, target: Tensor, groups: GroupRows
) -> TeacherSignals:
    """Computes :class:`TeacherSignals` at temperature one.

    Args:
        student_logits (Tensor): Student scores of unique queries, ``[Q, N]``.
        teacher_logits (Tensor): Teacher scores of the same queries, ``[K, Q, N]``.
        row (Tensor): The query of each fact, ``[M]``, int64.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        groups (GroupRows): Neighbour group of each fact, :math:`M` rows.

    Returns:
        TeacherSignals: Detached values.
    """
    student = torch.log_softmax(student_logits, dim=-1)
    columns = []
    for logits in teacher_logits:
        log_prob = torch.log_softmax(logits, dim=-1)
        prob = log_prob.exp()
        negative_entropy = (prob * log_prob).sum(dim=-1)
        divergence = negative_entropy - (prob * student).sum(dim=-1)
        gold = log_prob[row, target]
        mass = torch.zeros_like(gold).index_add_(0, groups.row, prob[row[groups.row], groups.entity])
        columns.append(
            (
                gold,
                _rank(log_prob, row, gold).reciprocal(),
                -negative_entropy[row],
                prob.amax(dim=-1)[row],
                divergence[row],
                mass,
            )
        )
    gold, inverse_rank, entropy, max_prob, divergence, mass = (
        torch.stack(values, dim=-1) for values in zip(*columns, strict=True)
    )
    return TeacherSignals(gold, inverse_rank, entropy, max_prob, divergence, mass, student[row, target])


def _rank(values: Tensor, row: Tensor, gold: Tensor) -> Tensor:
    """Realistic rank of each fact's target within its query's row."""
    values, gold = values[row], gold.unsqueeze(-1)
    greater, not_less = (values > gold).sum(dim=-1), (values >= gold).sum(dim=-1)
    return 0.5 * (greater + not_less + 1).to(gold.dtype)
