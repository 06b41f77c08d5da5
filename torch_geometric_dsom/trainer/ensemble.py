"""The frozen teachers of a run: who may be asked about what, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler, TeacherSignals, teacher_signals


class Ensemble:
    """Teachers side by side, with those of the folds where they were cross-fitted.

    Args:
        teachers (list): Frozen scorers, :math:`K` of them.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        fold_teachers (list[list], optional): For each fold the :math:`K` teachers that did not see its facts.
    """

    def __init__(
        self,
        teachers: Sequence[TailScorer],
        available: Tensor,
        fold_teachers: Sequence[Sequence[TailScorer]] = (),
    ) -> None:
        self.teachers = list(teachers)
        self.fold_teachers = [list(part) for part in fold_teachers]
        self.available = available
        self._memory: dict[str, Tensor] = {}

    @property
    def num_teachers(self) -> int:
        """Number of teachers :math:`K`."""
        return len(self.teachers)

    @torch.no_grad()
    def ask(self, head: Tensor, relation: Tensor, fold: Tensor | None = None, use: str | None = None) -> Tensor:
        """Logits of all teachers.

        Args:
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            fold (Tensor, optional): Fold of the facts that each query stands for, ``[Q]``: asks the teachers that did
                not see them. Without it, or without cross-fitting, the teachers that saw all are asked.
            use (str, optional): Name of memory that is used again at the next call with this name; fresh memory if
                :obj:`None`.

        Returns:
            Tensor: ``[Q, K, N]``.
        """
        out = self._room((head.numel(), self.num_teachers, self.available.size(0)), use)
        if fold is None or not self.fold_teachers:
            for k, teacher in enumerate(self.teachers):
                out[:, k] = teacher.score_tails(head, relation)
            return out
        for number, teachers in enumerate(self.fold_teachers):
            rows = (fold == number).nonzero().flatten()
            if rows.numel() > 0:
                for k, teacher in enumerate(teachers):
                    out[rows, k] = teacher.score_tails(head[rows], relation[rows])
        return out

    def mean_prob(self, teacher_logits: Tensor, head: Tensor) -> Tensor:
        """Mean of the distributions of those teachers that may be asked, up to a factor a row, ``[Q, N]``."""
        total = torch.zeros_like(teacher_logits[:, 0])
        for logits, mask in zip(teacher_logits.unbind(dim=1), self.available[head].unbind(dim=-1), strict=True):
            total += logits.softmax(dim=-1).mul_(mask.unsqueeze(-1))
        return total

    def favourites(self, teacher_logits: Tensor, head: Tensor) -> Tensor:
        """The answers that the teachers which may be asked together find most likely, ``[Q]``."""
        return self.mean_prob(teacher_logits, head).argmax(dim=-1)

    def groups(
        self, index: NeighborIndex, head: Tensor, relation: Tensor, target: Tensor | None, teacher_logits: Tensor
    ) -> GroupRows:
        """Neighbour groups of queries, with a target where one is given; those of ``topk`` from the teachers' mean."""
        scores = self.mean_prob(teacher_logits, head) if index.kind == "topk" else None
        return index.rows(head, relation, target, scores)

    def _room(self, shape: tuple[int, int, int], use: str | None) -> Tensor:
        size = math.prod(shape)
        if use is None:
            return torch.empty(shape, device=self.available.device)
        memory = self._memory.get(use)
        if memory is None or memory.numel() < size:
            memory = self._memory[use] = torch.empty(size, device=self.available.device)
        return memory[:size].view(shape)


class FactSignals(NamedTuple):
    """What frozen teachers think of a set of facts, computed once.

    Args:
        teachers (TeacherSignals): What the agent sees: signals about the teachers' favourite, ``[F, K]`` each.
        favourite (Tensor): The answer that the available teachers together find most likely, ``[F]``, int64.
        gold (Tensor): Log-probability of the gold answer, ``[F, K]``; what rewards are made of.
    """

    teachers: TeacherSignals
    favourite: Tensor
    gold: Tensor

    def rows(self, index: Tensor) -> FactSignals:
        """The signals of some facts, given by number."""
        return FactSignals(self.teachers.rows(index), self.favourite[index], self.gold[index])


def fact_signals(
    ensemble: Ensemble, sampler: QuerySampler, index: NeighborIndex, temperature: float = 1.0, crossfit: bool = False
) -> FactSignals:
    """Signals of all facts of a sampler, in the order of their numbers: one pass before training.

    Args:
        ensemble (Ensemble): The teachers.
        sampler (QuerySampler): Gives the facts.
        index (NeighborIndex): Neighbours of the queries.
        temperature (float): Temperature of the distributions. (default: :obj:`1.0`)
        crossfit (bool): Whether the sampler's folds say which teachers to ask. (default: :obj:`False`)
    """
    parts, order = [], []
    device = ensemble.available.device
    for batch in sampler:
        fold = row_folds(sampler, batch).to(device) if crossfit else None
        batch = batch.to(device)
        logits = ensemble.ask(batch.head, batch.relation, fold, "signals")
        favourite = ensemble.favourites(logits, batch.head)
        rows = ensemble.groups(index, batch.head, batch.relation, favourite, logits)
        gold = (logits / temperature).log_softmax(dim=-1)[batch.row, :, batch.target]
        each = torch.arange(batch.head.numel(), device=device)
        signals = teacher_signals(logits, each, favourite, rows, temperature).rows(batch.row)
        order.append(batch.fact)
        parts.append((favourite[batch.row], gold, *signals))
    place = torch.cat(order).argsort()
    favourite, gold, *columns = (torch.cat(values)[place] for values in zip(*parts, strict=True))
    return FactSignals(TeacherSignals(*columns), favourite, gold)


def row_folds(sampler: QuerySampler, batch: QueryBatch) -> Tensor:
    """The fold of each row of a batch of a sampler, ``[Q]``."""
    fold = torch.zeros(batch.head.numel(), dtype=torch.long, device=batch.row.device)
    return fold.index_copy_(0, batch.row, sampler.fold.to(batch.row.device)[batch.fact])
