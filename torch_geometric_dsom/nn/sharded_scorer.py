"""A scorer whose entities are dealt out over processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import Shard, World
from torch_geometric_dsom.nn.functional import rows
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.modality_teacher import ModalityTeacher
from torch_geometric_dsom.nn.scorer import EmbeddingScorer, Scorer


class ShardedScorer(Scorer):
    r"""A part of a scorer: a run of the rows of its entity table, and all of its relations.

    Every process has one, is asked the same queries, and scores its own entities. Query entities are looked up wherever
    they are; the gradients that come back to query vectors are added up over the processes. So each process has the
    whole gradient of its entities and of the relations, and an optimiser that goes by element does what it would do
    with the whole table.

    Args:
        part (Scorer): The scorer of this process's entities alone, see :meth:`~torch_geometric_dsom.nn.Scorer.cut`.
        shard (Shard): Which of the entities they are.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.distributed import World
        >>> from torch_geometric_dsom.nn import ComplEx, ShardedScorer
        >>> model = ShardedScorer.cut_from(ComplEx(num_entities=5, num_relations=2, rank=4), World())
        >>> model.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    def __init__(self, part: Scorer, shard: Shard) -> None:
        nn.Module.__init__(self)
        self.part = part
        self.shard = shard
        self.num_entities = shard.number
        self.num_relations = part.num_relations
        self.dropout = part.dropout
        self.init_scale = part.init_scale
        self.generator = part.generator

    @classmethod
    def cut_from(cls, scorer: Scorer, world: World) -> ShardedScorer:
        """This process's part of a scorer that every process has.

        Args:
            scorer (Scorer): The whole; it may be dropped afterwards.
            world (World): The processes.
        """
        shard = Shard.of(scorer.num_entities, world)
        return cls(scorer.cut(shard.rows), shard)

    @property
    def interaction(self) -> Interaction:  # type: ignore[override]
        """The scoring function."""
        return self.part.interaction

    def reset_parameters(self) -> None:
        """Draws the part's parameters anew; they are not those that the whole would get."""
        self.part.reset_parameters()

    def entity_table(self) -> Tensor:
        """The vectors of this process's entities, ``[size, entity_dim]``."""
        return self.part.entity_table()

    def relation_table(self) -> Tensor:
        """The relation vectors, inverse ones behind, ``[2R, relation_dim]``."""
        return self.part.relation_table()

    def rows(self, table: Tensor, index: Tensor) -> Tensor:
        """Entity vectors, wherever they are; each entity is sent once."""
        unique, place = index.unique(return_inverse=True)
        mine, row = self.shard.local(unique)
        return self.shard.collect(rows(table, row) * mine.unsqueeze(-1)).index_select(0, place)

    def query(self, head: Tensor, rel: Tensor, table: Tensor | None = None, around: tuple[int, int] = (0, 0)) -> Tensor:
        """The query vectors, see :meth:`Scorer.query`; the same in every process."""
        return self.shard.spread(super().query(head, rel, table, around))

    @torch.no_grad()
    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of all entities, brought together; training and evaluation do without."""
        scores = self.score(self.query(head, rel), self.entity_table())
        whole = self.shard.world.gather(scores.T.contiguous()).T
        return whole if candidates is None else whole[:, candidates]

    def partial_parameters(self) -> list[nn.Parameter]:
        """Parameters that every process has, but of whose gradient it only knows the share of its entities."""
        return list(self.part.project.parameters()) if isinstance(self.part, ModalityTeacher) else []

    def sharded_parameters(self) -> dict[str, Shard]:
        """Which parameters are dealt out by rows, and how, under their names in the whole scorer."""
        if isinstance(self.part, ModalityTeacher):
            counts = self.shard.world.stack(torch.tensor(self.part.entity.size(0))).tolist()
            start, size = sum(counts[: self.shard.world.rank]), counts[self.shard.world.rank]
            return {"entity": Shard(start, start + size, sum(counts), self.shard.world)}
        return {"entity": self.shard}

    def freeze(self) -> ShardedScorer:  # type: ignore[override]
        """The same part as plain, frozen tables in evaluation mode, without gradients."""
        return ShardedScorer(self.part.freeze(), self.shard).eval().requires_grad_(False)

    @torch.no_grad()
    def whole(self) -> EmbeddingScorer:
        """The whole scorer as plain tables, brought together in every process."""
        table = self.shard.gather(self.entity_table())
        whole = EmbeddingScorer.from_tables(table, self.relation_table(), self.interaction)
        whole.dropout, whole.generator = self.dropout, self.generator
        return whole.train(self.training)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{super().extra_repr()}, rows={self.shard.start}:{self.shard.stop}"
