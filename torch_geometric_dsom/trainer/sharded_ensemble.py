"""Teachers whose entities are dealt out over processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.data.count_above import count_above
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import sharded_softmax_
from torch_geometric_dsom.loss.cross_entropy import CACHED_BYTES
from torch_geometric_dsom.nn import ShardedScorer, piece_rows, product, rows_within
from torch_geometric_dsom.sampler import ALL, Candidates, ShardCandidates, TeacherSignals, entropy_of, log_of
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.soft_label_reader import SoftLabelReader


class ShardedEnsemble(Ensemble):
    """An ensemble of which each process has the entities of one shard, and values of these alone.

    Teachers are frozen, so the log-sum-exps of their logits are kept for training queries once they are known: soft
    labels then cost no message but the look-up of the query entities.

    Args:
        teachers (list[ShardedScorer]): Frozen scorers, :math:`K` of them, of one shard.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool, all entities.
        fold_teachers (list[list], optional): For each fold the :math:`K` teachers that did not see its facts.
        dtype (torch.dtype, optional): In which their products are computed; as they are if :obj:`None`.
        reflexive (Tensor, optional): Which relations may relate an entity to itself, see :class:`Ensemble`.

    Raises:
        ConfigError: If a teacher is not sharded.
    """

    def __init__(
        self,
        teachers: Sequence[TailScorer],
        available: Tensor,
        fold_teachers: Sequence[Sequence[TailScorer]] = (),
        dtype: torch.dtype | None = None,
        reflexive: Tensor | None = None,
    ) -> None:
        for teacher in (*teachers, *(one for part in fold_teachers for one in part)):
            if not isinstance(teacher, ShardedScorer):
                raise ConfigError(f"teachers: expected sharded scorers, got {type(teacher).__name__}")
        super().__init__(teachers, available, fold_teachers, dtype, reflexive=reflexive)
        assert isinstance(teachers[0], ShardedScorer)
        self.shard: Shard = teachers[0].shard
        self.everyone = ShardCandidates(self.shard)
        self._keys = torch.empty(0, dtype=torch.long)
        self._norms = torch.empty(0, len(teachers))

    @property
    def num_columns(self) -> int:
        """As many as any process has entities, so that all cut batches into as many parts."""
        return self.shard.most

    def piece_rows(self, slabs: int, num_columns: int, workspace_bytes: int) -> int:
        """As many as there is memory for: messages for a few would cost more than passes over many."""
        return rows_within(workspace_bytes, slabs, num_columns)

    def reader(
        self,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None = None,
        use: str = "facts",
        candidates: Candidates = ALL,
        workspace_bytes: int | None = None,
    ) -> SoftLabelReader:
        """Softened distributions for some queries, each piece of them asked for when it is read."""
        return _Reader(self, head, relation, temperature, fold, use, candidates)

    def remember(self, keys: Tensor) -> None:
        """Makes room for the log-sum-exps of some queries.

        Args:
            keys (Tensor): Their numbers, see :meth:`key`, ``[P]`` int64.
        """
        self._keys = keys.unique()
        self._norms = torch.full((self._keys.numel(), self.num_teachers), torch.nan)

    @torch.no_grad()
    def ask(
        self,
        head: Tensor,
        relation: Tensor,
        fold: Tensor | None = None,
        use: str | None = None,
        candidates: Candidates = ALL,
    ) -> Tensor:
        """Logits of this process's entities, see :meth:`Ensemble.ask`; one message for all query entities."""
        entity, device = candidates.entity, self.available.device
        columns = self.shard.size if entity is None else entity.numel()
        shape, like = (self.num_teachers, head.numel(), columns), torch.empty(0, device=device)
        slabs = torch.empty(shape, device=device) if use is None else self.memory.room(use, shape, like)
        out = slabs.transpose(0, 1)
        head, relation = head.to(device, non_blocking=True), relation.to(device, non_blocking=True)
        if fold is None or not self.fold_teachers:
            self._ask_all(self.teachers, head, relation, entity, list(slabs))
            return self.strike_(out, head, relation, self._among(candidates))
        for number, teachers in enumerate(self.fold_teachers):
            rows = (fold == number).nonzero().flatten().to(device)
            if rows.numel() > 0:
                parts = [slabs.new_empty(rows.numel(), columns) for _ in teachers]
                self._ask_all(teachers, head[rows], relation[rows], entity, parts)
                for slab, part in zip(slabs, parts, strict=True):
                    slab.index_copy_(0, rows, part)
        return self.strike_(out, head, relation, self._among(candidates))

    def _ask_all(
        self,
        teachers: Sequence[TailScorer],
        head: Tensor,
        relation: Tensor,
        entity: Tensor | None,
        out: list[Tensor],
    ) -> None:
        scorers = [teacher for teacher in teachers if isinstance(teacher, ShardedScorer)]
        unique, place = head.unique(return_inverse=True)
        mine, row = self.shard.local(unique)
        tables = [teacher.entity_table() for teacher in scorers]
        vectors = torch.cat([table.index_select(0, row) for table in tables], dim=-1) * mine.unsqueeze(-1)
        parts = self.shard.world.sum_(vectors).split([table.size(1) for table in tables], dim=-1)
        for teacher, table, part, slab in zip(scorers, tables, parts, out, strict=True):
            kinds = teacher.relation_table().index_select(0, relation)
            query = teacher.interaction.query(part.index_select(0, place), kinds)
            table = table if entity is None else table[entity]
            if teacher.interaction.is_product:
                product(query, table.T, self.dtype, out=slab)
            else:
                slab.copy_(teacher.score(query, table))

    @torch.no_grad()
    def soften(
        self,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None = None,
        use: str = "facts",
        candidates: Candidates = ALL,
    ) -> Tensor:
        """Softened distributions over all entities, those of this process, see :meth:`Ensemble.soften`."""
        logits = candidates.weigh_(self.ask(head, relation, fold, use, candidates), temperature)
        if candidates.entity is not None or self._keys.numel() == 0:
            return self.softened_(logits, temperature)
        key = self.key(head, relation, fold)
        slot = torch.searchsorted(self._keys, key).clamp_max(self._keys.numel() - 1)
        kept = self._keys[slot] == key
        norms = self._norms[slot].masked_fill(~kept.unsqueeze(-1), torch.nan)
        if not bool(norms.isnan().any()):
            return self._softened(logits, temperature, norms.to(logits.device))[0]
        prob, norms = self._softened(logits, temperature)
        self._norms[slot[kept]] = norms[kept.to(norms.device)].to(self._norms.device)
        return prob

    def softened_(self, teacher_logits: Tensor, temperature: float) -> Tensor:  # type: ignore[override]
        """Softens logits ``[Q, K, size]`` in their memory."""
        return self._softened(teacher_logits, temperature)[0]

    def _softened(self, logits: Tensor, temperature: float, norms: Tensor | None = None) -> tuple[Tensor, Tensor]:
        slabs = logits.transpose(0, 1)  # what one teacher says lies together
        slabs = slabs if temperature == 1.0 else slabs.div_(temperature)
        norm = None if norms is None else norms.T
        return logits, sharded_softmax_(slabs, self.shard, norm)[1].T

    def favourites(self, prob: Tensor, head: Tensor, candidates: Candidates = ALL) -> Tensor:
        """The answers of any process that the teachers together find most likely, ``[Q]``."""
        best = candidates.each_(self.mean_prob(prob, head)).max(dim=-1)
        names = self._among(candidates).names(best.indices)
        each = self.shard.world.stack(torch.stack([best.values.double(), names.double()]))  # [size, 2, Q]
        first = each[:, 0].argmax(dim=0)
        return each[:, 1].gather(0, first.unsqueeze(0)).squeeze(0).long()

    def likely(self, prob: Tensor, head: Tensor, k: int) -> Tensor:
        """The answers of this process that the teachers find most likely, ``[Q, k]``."""
        found = super().likely(prob, head, k) + self.shard.start
        missing = min(k, self.shard.most) - found.size(1)  # all processes give as many
        return found if missing <= 0 else torch.cat([found, found[:, :1].expand(-1, missing)], dim=-1)

    def signals(
        self, prob: Tensor, row: Tensor, entity: Tensor, groups: GroupRows, candidates: Candidates = ALL
    ) -> TeacherSignals:
        """What the agent sees of the teachers about an answer of each fact; two messages."""
        world, (mine, column) = self.shard.world, self._among(candidates).columns(entity)
        gold = prob[row, :, column] * mine.unsqueeze(-1)
        top = torch.stack([part.amax(dim=-1) for part in prob.unbind(dim=1)], dim=-1)
        golds, tops = world.stack(torch.cat([gold, top])).split([len(gold), len(top)], dim=1)
        gold, top = golds.sum(dim=0), tops.amax(dim=0)
        columns = []
        for k, part in enumerate(prob.unbind(dim=1)):
            mass = scatter(part[groups.row, groups.entity], groups.row, dim_size=part.size(0))
            above, not_below = count_above(part, row, gold[:, k])
            size = piece_rows(part, 2, max(part.size(1), 1), CACHED_BYTES, part.nbytes)
            entropy = torch.cat([entropy_of(some) for some in part.split(size)])
            # The answer's own probability is the same number in its process: it counts itself there.
            columns.append(torch.stack([entropy[row], mass[row], above.to(mass), not_below.to(mass)]))
        entropy, mass, above, not_below = world.sum_(torch.stack(columns, dim=-1))
        return TeacherSignals(log_of(gold), 2.0 / (above + not_below + 1), entropy, top[row], mass)

    def pick(self, prob: Tensor, row: Tensor, entity: Tensor, candidates: Candidates = ALL) -> Tensor:
        """Probabilities of an answer of each fact, of any process, ``[M, K]``."""
        return self._pick(prob, row, *self._among(candidates).columns(entity))

    def _pick(self, prob: Tensor, row: Tensor, mine: Tensor, column: Tensor) -> Tensor:
        return self.shard.world.sum_(prob[row, :, column] * mine.unsqueeze(-1))

    def groups(
        self,
        index: NeighborIndex,
        head: Tensor,
        relation: Tensor,
        target: Tensor | None,
        prob: Tensor,
        candidates: Candidates = ALL,
    ) -> GroupRows:
        """Those neighbours of queries that this process has, by column."""
        return self._among(candidates).groups(index.rows(head, relation, target).to(prob.device))

    def _among(self, candidates: Candidates) -> ShardCandidates:
        return candidates if isinstance(candidates, ShardCandidates) else self.everyone


class _Reader(SoftLabelReader):
    """Asks for each piece as it is read: the softmax of all rows is a message."""

    def __init__(
        self,
        ensemble: ShardedEnsemble,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None,
        use: str,
        candidates: Candidates,
    ) -> None:
        self.ensemble = ensemble
        self._queries = head, relation, fold
        self._how = temperature, use, candidates

    def read_times(self, rows: slice) -> tuple[Tensor, float]:
        """See :meth:`SoftLabelReader.read_times`."""
        (head, relation, fold), (temperature, use, candidates) = self._queries, self._how
        some = None if fold is None else fold[rows]
        return self.ensemble.soften(head[rows], relation[rows], temperature, some, use, candidates), 1.0
