"""Batches of training queries: equal ``(entity, relation)`` pairs grouped, so that each is scored once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows
from torch_geometric_dsom.data.triples import split_triples, with_inverses
from torch_geometric_dsom.distributed import share_of
from torch_geometric_dsom.errors import ConfigError, DataError


class Around(NamedTuple):
    """How much of a batch other processes have, before and after this one's part: what they draw is drawn here too.

    So all generators stay alike, and a run draws the same whatever the number of processes.

    Args:
        queries (tuple[int, int]): Queries before and after. (default: :obj:`(0, 0)`)
        facts (tuple[int, int]): Facts before and after. (default: :obj:`(0, 0)`)
    """

    queries: tuple[int, int] = (0, 0)
    facts: tuple[int, int] = (0, 0)

    def part(self, first: bool, last: bool) -> Around:
        """What is around a part: what comes before belongs to the first, what comes after to the last."""
        return Around(*((before * first, after * last) for before, after in self))


class QueryBatch(NamedTuple):
    """Queries and the facts that answer them.

    Args:
        head (Tensor): Query entity of each query, ``[Q]``, int64.
        relation (Tensor): Relation in :math:`[0, 2R)` of each query, ``[Q]``, int64.
        row (Tensor): The query of each fact, ``[M]``, int64.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        fact (Tensor): Number of the fact in :attr:`QuerySampler.facts`, ``[M]``, int64.
        weight (float): Facts of this batch over those of an average batch. A mean over facts times this weighs every
            fact of an epoch alike, however many share its query. (default: :obj:`1.0`)
        around (Around): What other processes have of the same batch. (default: nothing)
    """

    head: Tensor
    relation: Tensor
    row: Tensor
    target: Tensor
    fact: Tensor
    weight: float = 1.0
    around: Around = Around()

    @property
    def num_queries(self) -> int:
        """Queries of the whole batch, those of other processes counted."""
        return self.head.numel() + sum(self.around.queries)

    @property
    def num_facts(self) -> int:
        """Facts of the whole batch, those of other processes counted."""
        return self.target.numel() + sum(self.around.facts)

    def ungrouped(self) -> QueryBatch:
        """The same facts with a query of their own each, ``Q = M``."""
        each = torch.arange(self.row.numel(), device=self.row.device)
        around = Around(self.around.facts, self.around.facts)
        return self._replace(head=self.head[self.row], relation=self.relation[self.row], row=each, around=around)

    def in_order(self) -> QueryBatch:
        """The same facts in the order of their queries."""
        if bool((self.row[1:] >= self.row[:-1]).all()):
            return self
        order = self.row.argsort(stable=True)
        return self._replace(row=self.row[order], target=self.target[order], fact=self.fact[order])

    def parts(self, size: int, processes: int = 1) -> Iterator[tuple[slice, QueryBatch]]:
        """Cuts a batch into parts whose means, times their weights, add up to that of the whole.

        Facts are in the order of their queries then, see :meth:`in_order`.

        Args:
            size (int): Queries a part at most.
            processes (int): Over how many processes the batch was dealt out: each of them gets as many parts.
                (default: :obj:`1`)

        Returns:
            Iterator[tuple[slice, QueryBatch]]: Which queries, and what stands there.
        """
        number = self.head.numel()
        most = number if processes == 1 else -(-self.num_queries // processes)
        if most <= size:
            yield slice(0, number), self
            return
        size = -(-most // -(-most // size))  # as many parts, of about one size
        starts = range(0, most, size)
        row, target, fact = self.in_order()[2:5]
        bounds = [min(start, number) for start in (*starts[1:], most)]
        ends = torch.searchsorted(row, torch.tensor(bounds, device=row.device)).tolist()
        for start, first, last in zip(starts, [0, *ends], ends, strict=False):
            rows, inside = slice(min(start, number), min(start + size, number)), slice(first, last)
            yield (
                rows,
                QueryBatch(
                    self.head[rows],
                    self.relation[rows],
                    row[inside] - rows.start,
                    target[inside],
                    fact[inside],
                    self.weight * (last - first) / max(row.numel(), 1),
                    self.around.part(start == 0, start + size >= most),
                ),
            )

    def to(self, device: torch.device | str) -> QueryBatch:
        """The same batch on another device."""
        head, relation, row, target, fact = (x.to(device, non_blocking=True) for x in self[:5])
        return QueryBatch(head, relation, row, target, fact, self.weight, self.around)


class QuerySampler:
    r"""Goes over the training facts of a graph in both directions, a batch of grouped queries at a time.

    A fact :math:`(h, r, t)` is asked as :math:`(h, r, ?)` and as :math:`(t, r + R, ?)`. An epoch covers each fact once
    in each direction, in an order drawn from the sampler's own generator. Facts of a query stay together, up to
    :obj:`max_facts` of them: the facts of a hub are dealt out to several batches, at random, so that no batch is about
    one hub alone.

    Args:
        data (Data or Tensor): A graph in the data contract, or facts ``[E, 3]`` (head, relation, tail).
        num_relations (int, optional): Number of relations :math:`R`; read from ``data`` where it is a graph.
        batch_size (int): Rows, that is queries, a batch. (default: :obj:`256`)
        max_facts (int, optional): Facts of a query at most in one row of a batch; no limit if :obj:`None`.
            (default: :obj:`16`)
        shuffle (bool): Whether the order is drawn anew every epoch. (default: :obj:`True`)
        folds (Tensor, optional): Fold of each fact, ``[E]``, int64, from 0: facts of a query stand in one row only if
            they are of one fold. Both directions of a fact are of the same one. See :func:`random_folds`.
        generator (torch.Generator, optional): Source of the order; a new one seeded with 0 if :obj:`None`.
        share (tuple[int, int]): Which part of each batch this process takes: its rank, and of how many processes. The
            others have to draw from generators in the same state. (default: :obj:`(0, 1)`)

    Raises:
        ConfigError: If ``batch_size`` or ``max_facts`` is below one, ``num_relations`` is missing, ``folds`` are not
            one a fact, or there is no such share.
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
        max_facts: int | None = 16,
        shuffle: bool = True,
        folds: Tensor | None = None,
        generator: torch.Generator | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if not 0 <= share[0] < share[1]:
            raise ConfigError(f"share: expected (rank, processes), got {share}")
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
        if max_facts is not None and max_facts < 1:
            raise ConfigError(f"max_facts: expected a positive number, got {max_facts}")
        triples = data if isinstance(data, Tensor) else split_triples(data, "train")
        if num_relations is None:
            if isinstance(data, Tensor):
                raise ConfigError("num_relations: expected a number when facts are given as a tensor, got None")
            num_relations = int(data.num_relations)
        if triples.numel() == 0:
            raise DataError("data: expected at least one training fact, got none")
        self.batch_size = batch_size
        self.max_facts = max_facts
        self.shuffle = shuffle
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        self.share = share
        self.num_relations = num_relations
        facts = with_inverses(triples, num_relations)
        self.fold = torch.zeros(facts.size(0), dtype=torch.long) if folds is None else torch.cat([folds, folds])
        if self.fold.shape != (facts.size(0),):
            raise ConfigError(
                f"folds: expected one for each of {facts.size(0) // 2} facts, got {self.fold.numel() // 2}"
            )
        num_folds = int(self.fold.max()) + 1
        key = facts[:, 0] * (2 * num_relations) + facts[:, 1]
        key, self._order = (key * num_folds + self.fold).sort(stable=True)
        unique, self._count = torch.unique_consecutive(key, return_counts=True)
        self._start = self._count.cumsum(0) - self._count
        self.facts = facts
        query = unique // num_folds
        self.head = query // (2 * num_relations)
        self.relation = query % (2 * num_relations)
        # A row of a batch is a run of at most max_facts facts of one query.
        step = int(self._count.max()) if max_facts is None else max_facts
        self._row_query, offset = expand_rows(torch.zeros_like(self._count), (self._count + step - 1) // step)
        self._row_start = self._start[self._row_query] + step * offset
        self._row_count = (self._count[self._row_query] - step * offset).clamp_max(step)

    @property
    def num_queries(self) -> int:
        """Number of unique queries; those of two folds count twice."""
        return int(self.head.numel())

    @property
    def num_facts(self) -> int:
        """Number of facts, both directions counted."""
        return self.facts.size(0)

    @property
    def num_rows(self) -> int:
        """Number of rows of all batches together: unique queries, hubs as often as they are dealt out."""
        return int(self._row_query.numel())

    def __len__(self) -> int:
        return -(-self.num_rows // self.batch_size)

    def __iter__(self) -> Iterator[QueryBatch]:
        order = self._order
        if self.shuffle:
            # Facts in random order within their query, so that a hub is dealt out anew every epoch.
            shuffled = torch.randperm(self.num_facts, generator=self.generator)
            query = torch.repeat_interleave(torch.arange(self.num_queries), self._count)
            order = order[shuffled[query[shuffled].argsort(stable=True)]]
            order_of_rows = torch.randperm(self.num_rows, generator=self.generator)
        else:
            order_of_rows = torch.arange(self.num_rows)
        for part in order_of_rows.split(self.batch_size):
            rows, around = part, Around()
            if self.share[1] > 1:
                mine = share_of(part.numel(), *self.share)
                rows, count = part[mine], self._row_count[part]
                before, after = int(count[: mine.start].sum()), int(count[mine.stop :].sum())
                around = Around((mine.start, part.numel() - mine.stop), (before, after))
            row, position = expand_rows(self._row_start[rows], self._row_count[rows])
            query, fact = self._row_query[rows], order[position]
            weight = fact.numel() / part.numel() * self.num_rows / self.num_facts
            yield QueryBatch(self.head[query], self.relation[query], row, self.facts[fact, 2], fact, weight, around)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(queries={self.num_queries}, facts={self.num_facts}, batch_size={self.batch_size})"


def random_folds(num_facts: int, num_folds: int, generator: torch.Generator) -> Tensor:
    """Deals facts out to folds of equal size.

    Args:
        num_facts (int): Number of facts :math:`E`.
        num_folds (int): Number of folds, two or more.
        generator (torch.Generator): Source of the order.

    Returns:
        Tensor: Fold of each fact, ``[E]``, int64.

    Raises:
        ConfigError: If there are fewer than two folds, or fewer facts than folds.

    Example:
        >>> import torch
        >>> random_folds(6, 3, torch.Generator().manual_seed(0)).bincount().tolist()
        [2, 2, 2]
    """
    if not 2 <= num_folds <= num_facts:
        raise ConfigError(f"num_folds: expected a number from 2 to the {num_facts} facts, got {num_folds}")
    return torch.randperm(num_facts, generator=generator) % num_folds
