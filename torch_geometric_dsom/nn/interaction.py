"""What turns vectors of head, relation and tail into a score: a query vector, then a comparison with a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.functional import n3_penalty_real


class Interaction(nn.Module, ABC):
    r"""The scoring function of a scorer, cut in two so that all entities are scored at once.

    .. math::
        z(h, r, t) = s\big( q(h, r), t \big)

    Subclasses give :meth:`query`; the comparison :math:`s` is the inner product where they do not say otherwise. What
    they are built from stands in :meth:`config`, so that a saved scorer can be built again.

    Args:
        rank (int): Size of the vectors :math:`d`, as the model counts it.
        entity_dim (int): Columns of an entity table.
        relation_dim (int): Columns of a relation table.
        query_dim (int, optional): Columns of query vectors; :obj:`entity_dim` if :obj:`None`.

    Raises:
        ConfigError: If a size is below one.
    """

    name: ClassVar[str]

    def __init__(self, rank: int, entity_dim: int, relation_dim: int, query_dim: int | None = None) -> None:
        super().__init__()
        if rank < 1:
            raise ConfigError(f"rank: expected a positive number, got {rank}")
        self.rank = rank
        self.entity_dim = entity_dim
        self.relation_dim = relation_dim
        self.query_dim = entity_dim if query_dim is None else query_dim

    @abstractmethod
    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """Query vectors ``[B, query_dim]`` of head vectors ``[B, entity_dim]`` and relations ``[B, relation_dim]``."""

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """Scores ``[B, C]`` of query vectors ``[B, query_dim]`` against a table ``[C, entity_dim]``."""
        return query @ table.T

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """Scores ``[B]`` of query vectors against one tail vector each, ``[B, entity_dim]``."""
        return (query * tail).sum(dim=-1)

    def inverse(self, relation: Tensor) -> Tensor:
        """Relation vectors that ask the other way round: scores of ``(t, r', h)`` are those of ``(h, r, t)``.

        Raises:
            ConfigError: If the scoring function has no such vectors.
        """
        raise ConfigError(f"relation: {type(self).__name__} has no inverse relations, expected reciprocal ones")

    def relation_query(self, head: Tensor, tail: Tensor) -> Tensor:
        """Vectors ``[B, relation_dim]`` whose inner products with relation vectors are the scores of the facts.

        Raises:
            ConfigError: If the score is not linear in the relation.
        """
        raise ConfigError(
            f"relation: the score of {type(self).__name__} is not linear in it, so it cannot be asked for"
        )

    def penalty(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """N3 penalty of the vectors of facts, a scalar."""
        return n3_penalty_real(head, relation, tail)

    @property
    def is_product(self) -> bool:
        """Whether :meth:`score` is the matrix product and nothing else."""
        return type(self).score is Interaction.score

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draws the interaction's own parameters anew; most have none."""

    def reset_entity(self, table: Tensor, scale: float, generator: torch.Generator) -> None:
        """Draws an entity table anew, in place; :obj:`scale` is its standard deviation."""
        nn.init.normal_(table, std=scale, generator=generator)

    def reset_relation(self, table: Tensor, scale: float, generator: torch.Generator) -> None:
        """Draws a relation table anew, in place; :obj:`scale` is its standard deviation."""
        nn.init.normal_(table, std=scale, generator=generator)

    def config(self) -> dict[str, Any]:
        """Name and arguments, plain values; see :func:`~torch_geometric_dsom.nn.make_interaction`."""
        return {"name": self.name, "rank": self.rank}

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return ", ".join(f"{key}={value!r}" for key, value in self.config().items() if key != "name")
