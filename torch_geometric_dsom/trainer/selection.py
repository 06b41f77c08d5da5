"""Which teachers are chosen for which relation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.plots import plot_selection
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler, TeacherChoice
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.fit import generator_states, load_generator_states
from torch_geometric_dsom.trainer.objective import DistillationObjective


@dataclass(frozen=True)
class SelectionShares:
    """For which share of the facts of each relation each teacher is chosen, both directions together.

    Args:
        teachers (list[str]): Names of the teachers.
        relations (list[str]): Names of the relations, no two alike.
        share (Tensor): Share of facts for which a teacher is chosen, ``[R, K]``; NaN where a relation has no fact.
        none (Tensor): Share of facts for which no teacher is chosen, ``[R]``.
        count (Tensor): Facts of each relation, both directions counted, ``[R]``.
    """

    teachers: tuple[str, ...]
    relations: tuple[str, ...]
    share: Tensor
    none: Tensor
    count: Tensor

    @property
    def total(self) -> dict[str, float]:
        """Share of all facts for which each teacher is chosen."""
        weight = self.count / self.count.sum()
        mean = (self.share.nan_to_num() * weight.unsqueeze(-1)).sum(dim=0)
        return dict(zip(self.teachers, mean.tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        shares = {
            relation: dict(zip(self.teachers, row, strict=True))
            for relation, row in zip(self.relations, self.share.tolist(), strict=True)
        }
        return {"total": self.total, "relations": shares, "count": self.count.tolist(), "none": self.none.tolist()}

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the shares as a picture, relations down and teachers across; needs the extra ``plot``.

        Args:
            path (path): Where to write it; the ending says in which format.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        plot_selection(self, most=len(self.relations)).savefig(path, dpi=150, facecolor="white")

    def __str__(self) -> str:
        width = max(len(name) for name in self.relations)
        lines = [" " * width + "".join(f"  {name:>10}" for name in (*self.teachers, "none"))]
        for name, row, none in zip(self.relations, self.share.tolist(), self.none.tolist(), strict=True):
            lines.append(f"{name:<{width}}" + "".join(f"  {100 * value:8.1f} %" for value in (*row, none)))
        return "\n".join(lines)


@torch.no_grad()
def selection_shares(
    objective: DistillationObjective, facts: Tensor, relations: tuple[str, ...], batch_size: int = 256
) -> SelectionShares:
    """Asks the agent of an objective about facts; neither student nor agent learns from it.

    Teachers that were trained on a fact are asked about it all the same: the answer tells what the agent would do.

    Args:
        objective (DistillationObjective): After training.
        facts (Tensor): ``[E, 3]``, int64.
        relations (tuple[str]): Names of the :math:`R` relations.
        batch_size (int): Queries a batch. (default: :obj:`256`)
    """
    actions, kinds = [], []
    for batch, choice in choices(objective, facts, len(relations), batch_size):
        actions.append(choice.action)
        kinds.append(batch.relation % len(relations))
    action, kind = torch.cat(actions).float(), torch.cat(kinds)
    count = torch.bincount(kind, minlength=len(relations)).cpu()
    every = torch.cat([action, (action.sum(dim=-1, keepdim=True) == 0).float()], dim=-1)
    mean = scatter(every, kind, dim_size=len(relations)).cpu() / count.unsqueeze(-1)  # 0 / 0 is NaN: nothing to tell
    return SelectionShares(objective.state.teachers, relations, mean[:, :-1], mean[:, -1], count)


@torch.no_grad()
def choices(
    objective: DistillationObjective, facts: Tensor, num_relations: int, batch_size: int = 256
) -> Iterator[tuple[QueryBatch, TeacherChoice]]:
    """What the agent of an objective chooses for facts, asked from both sides, a row a fact and side.

    The agent's generator is left as it was.

    Args:
        objective (DistillationObjective): After training.
        facts (Tensor): ``[E, 3]``, int64.
        num_relations (int): Number of relations :math:`R`.
        batch_size (int): Queries a batch. (default: :obj:`256`)

    Yields:
        tuple[QueryBatch, TeacherChoice]: Queries and choices.
    """
    sampler = QuerySampler(facts, num_relations, batch_size, max_facts=1, shuffle=False)
    signals = fact_signals(objective.ensemble, sampler, objective.index, objective.temperature)
    agent, before = objective.agent, generator_states(objective.agent)
    try:
        for batch in sampler:
            one = signals.rows(batch.fact)
            scores = objective.scores(batch)
            prob = objective.ensemble.soften(batch.head, batch.relation, objective.temperature, None, "facts")
            groups = objective.ensemble.groups(objective.index, batch.head, batch.relation, one.favourite, prob)
            batch = batch.to(objective.device)
            questions = objective.questions(scores.query, batch, one, agent)
            yield batch, objective.look(scores.values(), prob, batch, one, groups, questions, agent).choice
    finally:
        load_generator_states(agent, before)
