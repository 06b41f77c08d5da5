"""What a batch costs where entities are dealt out over processes: the same, in three small messages.

A maximum, sums together with the logits of the answers, and the gradient of the query vectors; beside them the vectors
of the query entities are looked up wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_geometric_dsom.data import GroupRows, KnownAnswers
from torch_geometric_dsom.data.count_above import count_above
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
    SoftLabels,
    StudentView,
    sharded_cross_entropy_,
    sharded_softmax_,
    sharded_view,
)
from torch_geometric_dsom.nn import ShardedScorer, rows_within
from torch_geometric_dsom.sampler import Candidates, QueryBatch, ShardCandidates
from torch_geometric_dsom.sampler.rewards import finish
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.distillation_step import Rewards
from torch_geometric_dsom.trainer.fact_signals import FactSignals
from torch_geometric_dsom.trainer.objective import DistillationObjective
from torch_geometric_dsom.trainer.scores import Scores


class _Sharded(CrossEntropyObjective):
    """What both objectives share."""

    shard: Shard

    def __init__(self, model: TailScorer, *args: Any, **kwargs: Any) -> None:
        if not isinstance(model, ShardedScorer):
            raise ConfigError(f"model: expected a sharded scorer, got {type(model).__name__}")
        super().__init__(model, *args, **kwargs)
        self.shard = model.shard
        self.everyone = ShardCandidates(self.shard)

    def parts(self, scores: Scores, batch: QueryBatch) -> Any:
        """A batch in parts for which there is memory, as many in every process."""
        if scores.logits is not None:
            return batch.parts(batch.num_queries)
        columns = self.shard.most if self.candidates is None else self.shard.world.agree(scores.num_entities)
        return batch.parts(rows_within(self.workspace_bytes, self.slabs, columns or 1))

    def draw(self, *named: Tensor) -> ShardCandidates:
        """Candidates of this process: those named of its entities, and some that stand for the others of them."""
        assert self.candidates is not None
        assert isinstance(self.everyone, ShardCandidates)
        return self.everyone.drawn(self.candidates, torch.cat(named))

    def cross_entropy_(
        self, scores: Tensor, row: Tensor, target: Tensor, scale: float, candidates: Candidates
    ) -> Tensor:
        """See :func:`~torch_geometric_dsom.loss.sharded_cross_entropy_`."""
        assert isinstance(candidates, ShardCandidates)
        return sharded_cross_entropy_(scores, row, target, self.shard, candidates.columns(target), scale)


class ShardedCrossEntropyObjective(_Sharded):
    """:class:`CrossEntropyObjective` of a :class:`~torch_geometric_dsom.nn.ShardedScorer`.

    Args:
        model (ShardedScorer): What is trained; all other arguments are those of :class:`CrossEntropyObjective`.
        candidates (CandidateSampler, optional): Draws among the entities of this process.
    """


class ShardedDistillationObjective(_Sharded, DistillationObjective):
    """:class:`DistillationObjective` of a :class:`~torch_geometric_dsom.nn.ShardedScorer`.

    Args:
        model (ShardedScorer): The student; all other arguments are those of :class:`DistillationObjective`, with a
            :class:`ShardedEnsemble`.
        candidates (CandidateSampler, optional): Draws among the entities of this process.

    Raises:
        ConfigError: If the loss is not the decoupled one on plain logits, or groups are made of scores.
    """

    def __init__(self, model: TailScorer, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        if not isinstance(self.loss, NeighborDecoupledKDLoss) or self.loss.standardize:
            raise ConfigError(f"loss: expected NeighborDecoupledKDLoss on plain logits, got {self.loss}")
        if self.index.kind == "topk":
            raise ConfigError("neighbors: expected groups that are looked up, got 'topk'")
        self.slabs = 3 + self.ensemble.slabs  # logits, what of them lies outside groups, a copy

    def pieces(self, part: QueryBatch, num_columns: int) -> Iterator[tuple[slice, QueryBatch]]:
        """Each part at once: its messages cost more than passes over it."""
        return part.parts(max(part.num_queries, 1))

    def view(
        self,
        values: Tensor,
        prob: Tensor,
        groups: GroupRows,
        room: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        candidates: Candidates,
        factor: float = 1.0,
    ) -> tuple[StudentView, SoftLabels]:
        """See :func:`~torch_geometric_dsom.loss.sharded_view`."""
        assert isinstance(candidates, ShardCandidates)
        row = torch.cat([batch.row, batch.row])
        entity = torch.cat([batch.target, facts.favourite.to(values.device)])
        answers, columns = (row, entity), candidates.columns(entity)
        return sharded_view(values, prob, groups, self.temperature, self.shard, answers, columns, room)

    def where(self, row: Tensor, target: Tensor, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Rows and columns of the targets that this process has."""
        assert isinstance(candidates, ShardCandidates)
        mine, column = candidates.columns(target)
        return row[mine], column[mine]

    def rank_rewards(
        self, teacher_logits: Tensor, logits: Tensor, batch: QueryBatch, known: KnownAnswers, positive: bool
    ) -> Rewards:
        """Rewards by filtered ranks: two messages for the distributions and the gold answers, one for the counts."""
        shard, count = self.shard, teacher_logits.size(1)
        # The student last; as probabilities, among which there may be ties.
        every = self.memory.room("ranked", (len(logits), count + 1, logits.size(1)), logits)
        for k, part in enumerate([*teacher_logits.unbind(dim=1), logits]):
            every[:, k] = part
        every = sharded_softmax_(every, shard)[0]
        own = every[:, count]
        row, answer = known.rows(batch.head, batch.relation)
        other = answer != batch.target[row]
        row, answer, target = (x.to(logits.device) for x in (row[other], answer[other], batch.target))
        each = torch.arange(len(target), device=logits.device)
        mine, column = shard.local(target)
        gold = shard.world.sum_(every[each, :, column] * mine.unsqueeze(-1))
        there, column_of = shard.local(answer)
        for rows, columns, floor in ((row[there], column_of[there], 0.0), (each[mine], column[mine], -1.0)):
            every[rows, :, columns] = floor  # other known answers are last, the answer itself is not counted

        def counts(values: Tensor, value: Tensor) -> Tensor:
            above, not_below = count_above(values, each, value)
            return (above + not_below).to(value)

        def rewards(action: Tensor) -> Tensor:
            sets = action.unsqueeze(1) if action.dim() == 2 else action
            weights = F.pad(sets.to(every.dtype), (0, 1))  # a part of the slabs would be copied for each product
            wanted = torch.einsum("msk,mk->ms", weights, gold)
            found = [counts(own, gold[:, count])]
            for s in range(sets.size(1)):
                mixed = torch.bmm(weights[:, s : s + 1], every).squeeze(1)
                found.append(counts(mixed, wanted[:, s]))
            inverse = 2.0 / (shard.world.sum_(torch.stack(found, dim=-1)) + 2.0)
            gain = inverse[:, 1:] - inverse[:, :1]
            return finish(gain if action.dim() == 3 else gain[:, 0], action, positive)

        return rewards
