"""What the agent sees of student and teachers, and what rewards are made of: a few numbers a fact and teacher."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.count_above import count_above
from torch_geometric_dsom.data.groups import GroupRows


class TeacherSignals(NamedTuple):
    r"""Scalars of :math:`M` facts and :math:`K` teachers; teachers are frozen, so they are computed once.

    Args:
        log_prob (Tensor): :math:`\log p_k(t)` of the target, ``[M, K]``.
        inverse_rank (Tensor): One over the unfiltered rank of the target (ties realistic), ``[M, K]``.
        entropy (Tensor): Entropy of :math:`p_k` in nats, ``[M, K]``.
        max_prob (Tensor): Largest probability of :math:`p_k`, ``[M, K]``.
        neighbor_mass (Tensor): Mass of :math:`p_k` on the neighbour group, ``[M, K]``.
    """

    log_prob: Tensor
    inverse_rank: Tensor
    entropy: Tensor
    max_prob: Tensor
    neighbor_mass: Tensor

    def rows(self, index: Tensor) -> TeacherSignals:
        """The signals of some facts, given by number."""
        return TeacherSignals(*(value[index] for value in self))

    def features(self) -> Tensor:
        """All of them side by side, on scales of about one, ``[M, 5K]``."""
        log_prob, entropy = self.log_prob / 5.0, self.entropy / 5.0
        return torch.cat([log_prob, self.inverse_rank, entropy, self.max_prob, self.neighbor_mass], dim=-1)


class StudentSignals(NamedTuple):
    r"""Scalars of :math:`M` facts that change with the student.

    Args:
        log_prob (Tensor): :math:`\log p_S(t)` of the target, ``[M]``.
        divergence (Tensor): :math:`\mathrm{KL}(p_k \| p_S)` in nats, ``[M, K]``.
    """

    log_prob: Tensor
    divergence: Tensor

    def features(self) -> Tensor:
        """Both side by side, on scales of about one, ``[M, K + 1]``."""
        return torch.cat([self.log_prob.unsqueeze(-1) / 5.0, self.divergence.clamp(0.0, 20.0) / 5.0], dim=-1)


@torch.no_grad()
def teacher_signals(prob: Tensor, row: Tensor, target: Tensor, groups: GroupRows) -> TeacherSignals:
    """Computes :class:`TeacherSignals`.

    Args:
        prob (Tensor): Distributions of the teachers over the answers to the queries, ``[Q, K, N]``.
        row (Tensor): The query of each fact, ``[M]``, int64.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        groups (GroupRows): Neighbour group of each query, :math:`Q` rows.

    Returns:
        TeacherSignals: Detached values.
    """
    columns = []
    for part in prob.unbind(dim=1):
        gold = part[row, target]
        mass = scatter(part[groups.row, groups.entity], groups.row, dim_size=part.size(0))
        entropy = entropy_of(part)
        rank = _rank(part, row, gold)
        columns.append((log_of(gold), rank.reciprocal(), entropy[row], part.amax(dim=-1)[row], mass[row]))
    return TeacherSignals(*(torch.stack(values, dim=-1) for values in zip(*columns, strict=True)))


def entropy_of(prob: Tensor) -> Tensor:
    """Entropies of distributions ``[..., N]`` in nats, by the logarithm that is vectorised on CPU."""
    return log_of(prob).mul_(prob).sum(dim=-1).neg_()


def log_of(prob: Tensor) -> Tensor:
    """Logarithm of probabilities, which float32 may have rounded to zero: never below that of its smallest number."""
    return prob.clamp_min(torch.finfo(prob.dtype).tiny).log_()


def _rank(values: Tensor, row: Tensor, gold: Tensor) -> Tensor:
    """Realistic rank of each fact's target within its query's row."""
    above, not_below = count_above(values, row, gold)
    return (0.5 * (above + not_below + 1)).to(gold.dtype)
