"""Scorers: a query tower over an entity table, whatever makes the table and whatever compares the two."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import rand_rows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.functional import rows
from torch_geometric_dsom.nn.interaction import Interaction


class Scorer(nn.Module, ABC):
    r"""What every scorer shares: all that follows from two tables and an interaction.

    Subclasses build their parameters, call :meth:`reset_parameters` and give :meth:`entity_table` and
    :meth:`relation_table`.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        interaction (Interaction): The scoring function.
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
        init_scale (float): Standard deviation of the initial tables.
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Raises:
        ConfigError: If a size is below one or ``dropout`` is out of range.
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        interaction: Interaction,
        dropout: float,
        init_scale: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        for name, value in (("num_entities", num_entities), ("num_relations", num_relations)):
            if value < 1:
                raise ConfigError(f"{name}: expected a positive number, got {value}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout: expected a share in [0, 1), got {dropout}")
        self.num_entities = num_entities
        self.num_relations = num_relations
        self.interaction = interaction
        self.dropout = dropout
        self.init_scale = init_scale
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)

    @property
    def rank(self) -> int:
        """Size of the vectors, as the model counts it."""
        return self.interaction.rank

    @abstractmethod
    def entity_table(self) -> Tensor:
        """The entity vectors, ``[N, entity_dim]``."""

    def entity_rows(self, index: Tensor) -> Tensor:
        """Some of the entity vectors, ``[M]`` to ``[M, entity_dim]``."""
        return rows(self.entity_table(), index)

    @property
    def row_by_row(self) -> bool:
        """Whether :meth:`entity_rows` saves the making of the others."""
        return False

    @abstractmethod
    def relation_table(self) -> Tensor:
        """The relation vectors, inverse ones behind, ``[2R, relation_dim]``."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws all parameters anew."""

    def cut(self, rows: slice) -> Scorer:
        """The same scorer of some of its entities alone, with parameters and generator of its own.

        Args:
            rows (slice): Which entities; they are numbered from 0 in the part.

        Raises:
            ConfigError: If scorers of this class cannot be cut.
        """
        raise ConfigError(f"scorer: expected one whose entities can be dealt out, got a {type(self).__name__}")

    def rows(self, table: Tensor, index: Tensor) -> Tensor:
        """The vectors of some entities, ``[M]`` to ``[M, entity_dim]``."""
        return rows(table, index)

    def drop(self, x: Tensor, around: tuple[int, int] = (0, 0)) -> Tensor:
        """Dropout from the model's own generator; nothing in evaluation mode."""
        if not self.training or self.dropout == 0.0:
            return x
        keep = rand_rows(tuple(x.shape), self.generator, around) >= self.dropout
        return x * keep.to(x) / (1.0 - self.dropout)

    def query(self, head: Tensor, rel: Tensor, table: Tensor | None = None, around: tuple[int, int] = (0, 0)) -> Tensor:
        r"""The query vectors :math:`q(h, r)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            table (Tensor, optional): :meth:`entity_table`, where the caller has it already.
            around (tuple[int, int]): How many queries of the same batch other processes have before and after these,
                see :func:`~torch_geometric_dsom.distributed.rand_rows`. (default: :obj:`(0, 0)`)

        Returns:
            Tensor: ``[B, query_dim]``.
        """
        table = self.entity_table() if table is None else table
        entity, relation = self.drop(self.rows(table, head), around), rows(self.relation_table(), rel)
        return self.drop(self.interaction.query(entity, relation), around)

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """Scores of query vectors against an entity table, ``[B, query_dim]`` and ``[C, entity_dim]`` to ``[B, C]``."""
        return self.interaction.score(query, table)

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        r"""Scores of candidate answers to :math:`(h, r, ?)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            candidates (Tensor, optional): Entities to score, ``[C]``, int64; all of them if :obj:`None`.

        Returns:
            Tensor: ``[B, N]`` or ``[B, C]``.
        """
        table = self.entity_table()
        return self.score(self.query(head, rel, table), table if candidates is None else table[candidates])

    def penalty(self, head: Tensor, rel: Tensor, tail: Tensor, table: Tensor | None = None) -> Tensor:
        """N3 penalty of the given facts, see :func:`~torch_geometric_dsom.nn.functional.n3_penalty`.

        Args:
            head (Tensor): ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            tail (Tensor): ``[B]``, int64.
            table (Tensor, optional): :meth:`entity_table`, where the caller has it already.

        Returns:
            Tensor: A scalar.
        """
        return self.fact_loss(head, rel, tail, n3=1.0, table=table)

    def fact_loss(
        self,
        head: Tensor,
        rel: Tensor,
        tail: Tensor,
        n3: float = 0.0,
        relation_prediction: float = 0.0,
        table: Tensor | None = None,
    ) -> Tensor:
        r"""What is asked of the vectors of facts beside the right answer, averaged over the facts.

        .. math::
            \lambda \, \mathrm{N3}(h, r, t) - \rho \log \mathrm{softmax}_{r'} \, z(h, r', t) \big|_{r' = r}

        The second term, relation prediction, is that of `"Relation Prediction as an Auxiliary Training Objective"
        <https://arxiv.org/abs/2110.02834>`_: of all relations the right one has to score best between head and tail.

        Args:
            head (Tensor): ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            tail (Tensor): ``[B]``, int64.
            n3 (float): Weight :math:`\lambda`. (default: :obj:`0.0`)
            relation_prediction (float): Weight :math:`\rho`. (default: :obj:`0.0`)
            table (Tensor, optional): :meth:`entity_table`, where the caller has it already.

        Returns:
            Tensor: A scalar.

        Raises:
            ConfigError: If relations cannot be predicted, since the score is not linear in them.
        """
        table = self.entity_table() if table is None else table
        ends = self.rows(table, torch.cat([head, tail])).split(head.numel())  # one gradient, not two
        relations = self.relation_table()
        loss = table.new_zeros(())
        if n3 > 0:
            loss = loss + n3 * self.interaction.penalty(ends[0], rows(relations, rel), ends[1])
        if relation_prediction > 0:
            logits = self.interaction.relation_query(ends[0], ends[1]) @ relations.T
            loss = loss + relation_prediction * nn.functional.cross_entropy(logits, rel)
        return loss

    def forward(self, head: Tensor, rel: Tensor, tail: Tensor) -> Tensor:
        """Scores of whole facts, ``[B]``, relations in :math:`[0, 2R)`."""
        table = self.entity_table()
        return self.interaction.score_facts(self.query(head, rel, table), table[tail])

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_entities={self.num_entities}, num_relations={self.num_relations}"

    @torch.no_grad()
    def freeze(self) -> EmbeddingScorer:
        """The same scorer as plain, frozen tables in evaluation mode, without gradients."""
        was_training = self.training
        table = self.eval().entity_table()
        self.train(was_training)
        frozen = EmbeddingScorer.from_tables(table, self.relation_table(), copy.deepcopy(self.interaction))
        return frozen.eval().requires_grad_(False)


class EmbeddingScorer(Scorer):
    r"""A scorer with a free vector for each entity and any interaction.

    A query :math:`(?, r, t)` is asked as :math:`(t, r + R, ?)`: relations run over :math:`[0, 2R)`, inverse ones have
    vectors of their own.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        interaction (Interaction): The scoring function.
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial tables. (default: :obj:`0.1`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Raises:
        ConfigError: If a size is below one or ``dropout`` is out of range.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import EmbeddingScorer, TransEInteraction
        >>> model = EmbeddingScorer(num_entities=5, num_relations=2, interaction=TransEInteraction(rank=4))
        >>> model.score_tails(torch.tensor([0, 1, 2]), torch.tensor([0, 3, 1])).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        interaction: Interaction,
        dropout: float = 0.0,
        init_scale: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_entities, num_relations, interaction, dropout, init_scale, generator)
        self.relation = nn.Parameter(torch.empty(2 * num_relations, interaction.relation_dim))
        self.entity = nn.Parameter(torch.empty(num_entities, interaction.entity_dim))
        self.reset_parameters()

    @classmethod
    @torch.no_grad()
    def from_tables(cls, entity: Tensor, relation: Tensor, interaction: Interaction) -> EmbeddingScorer:
        """A scorer of given vectors, which are copied.

        Args:
            entity (Tensor): ``[N, entity_dim]``.
            relation (Tensor): ``[2R, relation_dim]``.
            interaction (Interaction): The scoring function; taken as it is, with its parameters.
        """
        kept = {name: value.clone() for name, value in interaction.state_dict().items()}
        scorer = EmbeddingScorer(entity.size(0), relation.size(0) // 2, interaction)
        interaction.load_state_dict(kept)  # the constructor drew them anew
        scorer.to(entity.device, entity.dtype)
        scorer.entity.copy_(entity)
        scorer.relation.copy_(relation)
        return scorer

    @torch.no_grad()
    def cut(self, rows: slice) -> EmbeddingScorer:
        """See :meth:`Scorer.cut`."""
        part = EmbeddingScorer.from_tables(self.entity[rows], self.relation, copy.deepcopy(self.interaction))
        part.dropout, part.init_scale, part.generator = self.dropout, self.init_scale, self.generator
        return part.requires_grad_(self.entity.requires_grad).train(self.training)

    def reset_parameters(self) -> None:
        """Draws both tables and the interaction's own parameters anew."""
        self.interaction.reset_entity(self.entity, self.init_scale, self.generator)
        self.interaction.reset_relation(self.relation, self.init_scale, self.generator)
        self.interaction.reset_parameters(self.generator)

    def entity_table(self) -> Tensor:
        """The entity vectors, ``[N, entity_dim]``."""
        return self.entity

    def relation_table(self) -> Tensor:
        """The relation vectors, inverse ones behind, ``[2R, relation_dim]``."""
        return self.relation

    def config(self) -> dict[str, Any]:
        """Sizes and interaction as plain values, see :func:`~torch_geometric_dsom.nn.make_scorer`."""
        return {
            "num_entities": self.num_entities,
            "num_relations": self.num_relations,
            "interaction": self.interaction.config(),
        }
