"""Paths of one or two facts between entities, told apart by their relations alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import CSR, compact, expand_rows
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError

MOST = 1 << 63  # numbers of 64 bits
CHUNK = 1 << 21  # paths that are looked at together
ASKED = 256  # queries that walks are counted for, at most


class PathIndex:
    r"""The paths of one or two training facts that lead from an entity to another, a few heads at a time.

    A path of one fact has the number :math:`p \, (2R + 1) + 2R`, one of two :math:`p \, (2R + 1) + q`, from its
    relations :math:`p, q`, inverse ones included. However many entities it runs through, it joins a pair once. None
    comes back to its head or stays where it is.

    Args:
        data (Data): A graph in the data contract; of its facts only those of training are read.
        max_degree (int): Paths run through entities with at most that many facts, each asked from both sides: what goes
            through a hub joins nearly everything. (default: :obj:`200`)

    Raises:
        ConfigError: If :obj:`max_degree` is below one, or there are too many entities and relations to number paths.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=3)
        >>> data.num_relations = 1
        >>> index = PathIndex(data)
        >>> [(h, index.relations(body), t) for part in index for h, body, t in zip(*(x.tolist() for x in part))]
        [(0, (0, 0), 2), (0, (0,), 1), (1, (0,), 2), (1, (1,), 0), (2, (1, 1), 0), (2, (1,), 1)]
    """

    def __init__(self, data: Data, max_degree: int = 200) -> None:
        if max_degree < 1:
            raise ConfigError(f"max_degree: expected a positive number, got {max_degree}")
        self.num_nodes, relations = graph_sizes(data)
        self.num_relations, self.max_degree = 2 * relations, max_degree
        if self.num_nodes**2 * self.num_bodies >= MOST:
            raise ConfigError(
                f"data: expected entities squared times relations squared below 2^63 to number paths, "
                f"got {self.num_nodes} entities and {relations} relations"
            )
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)  # sorted by head
        self._head, self._relation, self._tail = facts.unbind(dim=-1)
        self._degree = torch.bincount(self._head, minlength=self.num_nodes)
        self._start = self._degree.cumsum(0) - self._degree
        through = (self._degree[self._tail] <= max_degree) & (self._tail != self._head)
        self._steps = torch.where(through, self._degree[self._tail], 0)

    @property
    def num_bodies(self) -> int:
        """How many numbers of paths there are."""
        return self.num_relations * (self.num_relations + 1)

    @property
    def num_paths(self) -> int:
        """How many paths there are at most, those through different entities told apart."""
        return int(self._head.numel() + self._steps.sum())

    def relations(self, body: int) -> tuple[int, ...]:
        """The relations of a path."""
        return relations_of(body, self.num_relations)

    def facts(self) -> CSR:
        """The relations of each pair of entities, under the key :math:`h N + t`."""
        return CSR(self._head * self.num_nodes + self._tail, self._relation, self.num_relations)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Paths as ``(head, body, tail)``, each once and sorted, all of a head together."""
        return self.chunks(None)

    def chunks(self, bodies: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Paths of some bodies, given sorted, or of all of them.

        Args:
            bodies (Tensor, optional): ``[P]``, int64; the path's number is its place in them then.

        Yields:
            tuple[Tensor, Tensor, Tensor]: As ``__iter__``.
        """
        if self._head.numel() == 0:
            return
        done = (self._steps + 1).cumsum(0)
        last = self._start + self._degree  # facts of a head stay together
        number = (done - 1) // CHUNK
        cuts = torch.cat([number.new_zeros(1), (number.diff() > 0).nonzero().flatten() + 1])
        cuts = last[self._head[cuts]].sub_(self._degree[self._head[cuts]]).unique()
        for first, end in zip(cuts.tolist(), [*cuts[1:].tolist(), self._head.numel()], strict=True):
            yield self._paths(first, end, bodies)

    def _paths(self, first: int, end: int, bodies: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        head, relation, tail = self._head[first:end], self._relation[first:end], self._tail[first:end]
        fact, place = expand_rows(self._start[tail], self._steps[first:end])
        width = self.num_relations + 1
        one = relation * width + self.num_relations
        two = relation[fact] * width + self._relation[place]
        starts, ends = torch.cat([head, head[fact]]), torch.cat([tail, self._tail[place]])
        body, kept = torch.cat([one, two]), (starts != ends)
        kept[head.numel() :] &= ends[head.numel() :] != tail[fact]
        size = self.num_bodies
        if bodies is not None:
            size = bodies.numel()
            slot = torch.searchsorted(bodies, body).clamp_max(max(size - 1, 0))
            kept &= (bodies[slot] == body) if size else torch.zeros_like(kept)
            body = slot
        key = ((starts[kept] * size + body[kept]) * self.num_nodes + ends[kept]).unique()
        return key // (size * self.num_nodes), key // self.num_nodes % size, key % self.num_nodes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(entities={self.num_nodes}, relations={self.num_relations // 2})"


def relations_of(body: int, num_relations: int) -> tuple[int, ...]:
    """The relations of a path with a number.

    Args:
        body (int): See :class:`PathIndex`.
        num_relations (int): Relations, inverse ones counted.

    Example:
        >>> relations_of(5, 4), relations_of(4, 4)
        ((1, 0), (0,))
    """
    first, second = divmod(body, num_relations + 1)
    return (first,) if second == num_relations else (first, second)


def walk_sizes(data: Data, steps: int, max_degree: int) -> list[tuple[float, float]]:
    """Messages of each step from the head of a training query, and entities that are reached by then, in the mean.

    They walk along facts in both directions or stay, and are counted for some training facts that lie evenly apart.

    Args:
        data (Data): A graph in the data contract.
        steps (int): How many steps.
        max_degree (int): Facts at most of an entity that is left again, but for the head.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=3)
        >>> data.num_relations = 1
        >>> walk_sizes(data, 2, 200)
        [(2.5, 2.5), (6.0, 3.0)]
    """
    entities, relations = graph_sizes(data)
    facts = with_inverses(split_triples(data, "train").cpu(), relations)
    if facts.size(0) == 0:
        return [(0.0, 0.0)] * steps
    asked = facts[:: -(-facts.size(0) // ASKED), 0]
    head, _, tail = facts.unique(dim=0).unbind(dim=-1)  # sorted by head
    degree = torch.bincount(head, minlength=entities)
    start, row, entity, sizes = degree.cumsum(0) - degree, torch.arange(asked.numel()), asked, []
    for _ in range(steps):
        leaves = (degree[entity] <= max_degree) | (entity == asked[row])
        run, place = expand_rows(start[entity], torch.where(leaves, degree[entity], 0))
        key = torch.cat([row * entities + entity, row[run] * entities + tail[place]])
        reached, _ = compact(key, asked.numel() * entities)
        row, entity = reached // entities, reached % entities
        sizes.append((key.numel() / asked.numel(), reached.numel() / asked.numel()))
    return sizes
