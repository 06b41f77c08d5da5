"""Batches of training queries: equal ``(entity, relation)`` pairs grouped, so that each is scored once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows
from torch_geometric_dsom.data.triples import split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError


class QueryBatch(NamedTuple):
    """Unique queries and the facts that answer them.

    Args:
        head (Tensor): Query entity of each unique query, ``[Q]``, int64.
        relation (Tensor): Relation in :math:`[0, 2R)` of each unique query, ``[Q]``, int64.
        row (Tensor): The unique query of each fact, ``[M]``, int64.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        fact (Tensor): Number of the fact in :attr:`QuerySampler.facts`, ``[M]``, int64.
    """

    head: Tensor
    relation: Tensor
    row: Tensor
    target: Tensor
    fact: Tensor

    def to(self, device: torch.device | str) -> QueryBatch:
        """The same batch on another device."""
        return QueryBatch(*(x.to(device, non_blocking=True) for x in self))


class QuerySampler:
    r"""Goes over the training facts of a graph in both directions, a batch of grouped queries at a time.

    A fact :math:`(h, r, t)` is asked as :math:`(h, r, ?)` and as :math:`(t, r + R, ?)`. All facts of a query are in one
    batch. An epoch covers each fact once in each direction, in an order drawn from the sampler's own generator.

    Args:
        data (Data or Tensor): A graph in the data contract, or facts ``[E, 3]`` (head, relation, tail).
        num_relations (int, optional): Number of relations :math:`R`; read from ``data`` where it is a graph.
        batch_size (int): Unique queries a batch. (default: :obj:`256`)
        shuffle (bool): Whether the order is drawn anew every epoch. (default: :obj:`True`)
        generator (torch.Generator, optional): Source of the order; a new one seeded with 0 if :obj:`None`.

    Raises:
        ConfigError: If ``batch_size`` is below one or ``num_relations`` is missing.
        DataError: If there is no fact.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import QuerySampler
        >>> facts = torch.tensor([[0, 0, 1], [0, 0, 2], [1, 1, 2]])
        >>> sampler = QuerySampler(facts, num_relations=2, batch_size=2)
        >>> sampler.num_queries, len(sampler)  # (0, 0), (1, 1), (1, 2), (2, 2), (2, 3)
        (5, 3)
        >>> sum(batch.target.numel() for batch in sampler)
        6
    """

    def __init__(
        self,
        data: Data | Tensor,
        num_relations: int | None = None,
        batch_size: int = 256,
        shuffle: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
        triples = data if isinstance(data, Tensor) else split_triples(data, "train")
        if num_relations is None:
            if isinstance(data, Tensor):
                raise ConfigError("num_relations: expected a number when facts are given as a tensor, got None")
            num_relations = int(data.num_relations)
        if triples.numel() == 0:
            raise DataError("data: expected at least one training fact, got none")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        self.num_relations = num_relations
        facts = with_inverses(triples, num_relations)
        key, order = (facts[:, 0] * (2 * num_relations) + facts[:, 1]).sort(stable=True)
        unique, self._count = torch.unique_consecutive(key, return_counts=True)
        self._start = self._count.cumsum(0) - self._count
        self._order = order
        self.facts = facts
        self.head = unique // (2 * num_relations)
        self.relation = unique % (2 * num_relations)

    @property
    def num_queries(self) -> int:
        """Number of unique queries."""
        return int(self.head.numel())

    @property
    def num_facts(self) -> int:
        """Number of facts, both directions counted."""
        return self.facts.size(0)

    def __len__(self) -> int:
        return -(-self.num_queries // self.batch_size)

    def batch(self, query: Tensor) -> QueryBatch:
        """The batch of the given unique queries, ``[Q]`` int64 numbers below :attr:`num_queries`."""
        row, position = expand_rows(self._start[query], self._count[query])
        fact = self._order[position]
        return QueryBatch(self.head[query], self.relation[query], row, self.facts[fact, 2], fact)

    def __iter__(self) -> Iterator[QueryBatch]:
        order = (
            torch.randperm(self.num_queries, generator=self.generator)
            if self.shuffle
            else torch.arange(self.num_queries)
        )
        for query in order.split(self.batch_size):
            yield self.batch(query)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(queries={self.num_queries}, facts={self.num_facts}, batch_size={self.batch_size})"
