"""A scorer that counts: how often entities of a kind answer a relation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows, sum_rows
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight

COUNTS = (1, *(1 + (1 << power) for power in range(11)))  # borders: 0, 1, 2, up to 4, up to 8 and so on are told apart
EXPECTATIONS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8)
LEVELS, BINS = len(COUNTS) + 1, len(EXPECTATIONS) + 1
CLASSES = LEVELS * BINS
PRIOR = 2.0  # the facts that all relations together count as, in what is known of one relation's counts
CHUNK = 1 << 22  # entities times relations that are looked at at once while counting


class FrequencyScorer(Guide):
    r"""Evidence of how often an entity answers a relation, and of which other relations it answers.

    How likely the next answer of a relation is :math:`t` is estimated as by Good and Turing: each training fact is
    looked at as if it were missing. Let :math:`n(r, t)` be the facts of relation :math:`r` with tail :math:`t`, and
    :math:`a(r, t)` what a ridge regression expects of :math:`t`: of whether an entity answers :math:`r` on which other
    relations it answers. Entities that are alike in both are a class :math:`c`, those alike in :math:`n` alone a level
    :math:`\ell`. Of the :math:`n(r)` facts of :math:`r`, :math:`m_c(r)` have a tail that would be in the class, were
    the fact missing:

    .. math::
        e(h, r, t) = \log \left( N \cdot \frac{m_c(r) / n(r) + \kappa\, p_\ell(r)}{|c| + \kappa} \right), \qquad
        p_\ell(r) = \frac{m_\ell(r) + 2\, g_\ell}{(n(r) + 2)\, |\ell|}

    with :math:`g_\ell` the share of :math:`\ell` in the facts of all relations, and in one more for each level. Who has
    a birthplace is not born elsewhere too; who has none, but a club, is born somewhere. It does not depend on the head:
    a prior.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.
        num_pairs (int): How many different pairs :math:`(r, t)` there are, inverse ones included.
        penalty (float): Penalty of the regression. (default: :obj:`1.0`)
        shrinkage (float): As how many entities of a class its level counts, :math:`\kappa`. (default: :obj:`4.0`)

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[0, 1, 2, 0, 1, 2, 3], [5, 6, 7, 8, 8, 8, 8]])
        >>> born_in, plays_for = 0, 1
        >>> edge_type = torch.tensor([born_in] * 3 + [plays_for] * 4)
        >>> data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=10, num_relations=2)
        >>> counts = FrequencyScorer.from_data(data)
        >>> counts.score_tails(torch.tensor([9]), torch.tensor([born_in + 2])).argmax().item()  # who is born in 9?
        3
    """

    name = "frequency"

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        num_pairs: int = 0,
        penalty: float = 1.0,
        shrinkage: float = 4.0,
    ) -> None:
        super().__init__()
        for name, number in (("penalty", penalty), ("shrinkage", shrinkage)):
            if not number > 0:
                raise ConfigError(f"{name}: expected a positive number, got {number}")
        self.num_entities, self.num_relations = num_entities, num_relations
        self.penalty, self.shrinkage = penalty, shrinkage
        self.start: Tensor  # of the relations that each entity answers
        self.relation: Tensor
        self.count: Tensor
        self.weight: Tensor  # of each relation for each other
        self.value: Tensor  # the evidence, of each relation and class
        self.counts: Tensor
        self.expectations: Tensor
        self.register_buffer("start", torch.zeros(num_entities + 1, dtype=torch.long))
        self.register_buffer("relation", torch.zeros(num_pairs, dtype=torch.long))
        self.register_buffer("count", torch.zeros(num_pairs, dtype=torch.int32))
        self.register_buffer("weight", torch.zeros(2 * num_relations, 2 * num_relations))
        self.register_buffer("value", torch.zeros(2 * num_relations, CLASSES))
        self.register_buffer("counts", torch.tensor(COUNTS, dtype=torch.int32), persistent=False)
        self.register_buffer("expectations", torch.tensor(EXPECTATIONS), persistent=False)

    @classmethod
    def from_data(cls, data: Data, penalty: float = 1.0, shrinkage: float = 4.0) -> FrequencyScorer:
        r"""Counts the training facts of a graph.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            penalty (float): See :class:`FrequencyScorer`, as the one that follows. (default: :obj:`1.0`)
            shrinkage (float): (default: :obj:`4.0`)

        Raises:
            ConfigError: If an argument is out of range.
        """
        entities, relations = graph_sizes(data)
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)
        pair, count = (facts[:, 2] * 2 * relations + facts[:, 1]).unique(return_counts=True)
        scorer = cls(entities, relations, pair.numel(), penalty, shrinkage)
        tail = pair // (2 * relations)  # of each pair
        scorer.start[1:] = torch.bincount(tail, minlength=entities).cumsum(0)
        scorer.relation.copy_(pair % (2 * relations))
        scorer.count.copy_(count)
        scorer.weight.copy_(scorer._regression(tail))
        scorer.value.copy_(scorer._evidence(tail))
        return scorer

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        relations, which = rel.unique(return_inverse=True)  # a relation is told once, however many queries have it
        told = self.value[relations].gather(1, self._classes(relations, candidates))
        return self._add_rows(scores, told[which], weight)

    def expected(self, relations: Tensor, candidates: Tensor | None = None) -> Tensor:
        """How far the other relations that entities answer let expect some, ``[U]`` to ``[U, N]`` or ``[U, C]``.

        Args:
            relations (Tensor): In :math:`[0, 2R)`, ``[U]``, int64.
            candidates (Tensor, optional): See :meth:`Guide.score_tails`.
        """
        _, place, many = self._pairs(candidates)
        return sum_rows(self.weight[:, relations], self.relation[place], many).T.contiguous()

    def _pairs(self, candidates: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Entity and number of each pair of some entities, and how many pairs each has."""
        first, many = self.start[:-1], self.start.diff()
        if candidates is not None:
            first, many = first[candidates], many[candidates]
        return *expand_rows(first, many), many

    def _classes(self, relations: Tensor, candidates: Tensor | None = None) -> Tensor:
        """The class of entities for relations that differ, ``[U]`` to ``[U, N]`` or ``[U, C]``."""
        found = torch.bucketize(self.expected(relations, candidates), self.expectations).mul_(LEVELS)
        slot = relations.new_full((2 * self.num_relations,), -1)
        slot[relations] = torch.arange(relations.numel(), device=slot.device)
        row, place, _ = self._pairs(candidates)
        asked = slot[self.relation[place]]
        there = asked >= 0
        found[asked[there], row[there]] += self._level(self.count[place[there]])
        return found

    def _level(self, count: Tensor) -> Tensor:
        return torch.bucketize(count, self.counts, right=True)

    def _regression(self, tail: Tensor) -> Tensor:
        """The weights of relations for each other, from which of them the same entity answers."""
        relations = 2 * self.num_relations
        gram = torch.zeros(relations**2, dtype=torch.long)
        for some in torch.arange(tail.numel()).split(max(1, CHUNK // max(1, relations))):
            first = self.start[tail[some]]
            row, place = expand_rows(first, self.start[tail[some] + 1] - first)
            both = self.relation[some][row] * relations + self.relation[place]
            gram += torch.bincount(both, minlength=relations**2)
        penalty = self.penalty * torch.eye(relations, dtype=torch.double)
        inverse = torch.linalg.inv(gram.view(relations, relations) + penalty)
        weight: Tensor = (-inverse / inverse.diagonal()).fill_diagonal_(0.0)
        return weight.float()

    def _evidence(self, tail: Tensor) -> Tensor:
        """The evidence of each relation and class."""
        relations = 2 * self.num_relations
        size, mass = torch.zeros(relations, CLASSES), torch.zeros(relations, CLASSES)
        lower = self._level(self.count) - self._level(self.count - 1)  # levels, were one of the facts missing
        for some in torch.arange(relations).split(max(1, CHUNK // max(1, self.num_entities))):
            found = self._classes(some)
            first = int(some[0])
            place = torch.arange(some.numel())[:, None] * CLASSES + found
            size[some] = torch.bincount(place.flatten(), minlength=some.numel() * CLASSES).view(-1, CLASSES).float()
            pair = ((self.relation >= first) & (self.relation < first + some.numel())).nonzero().flatten()
            seen = found[self.relation[pair] - first, tail[pair]] - lower[pair]
            mass.index_put_((self.relation[pair], seen), self.count[pair].float(), accumulate=True)
        facts = mass.sum(dim=1, keepdim=True)
        level_size, level_mass = (part.view(relations, BINS, LEVELS).sum(dim=1) for part in (size, mass))
        share = level_mass.sum(dim=0) + 1
        level = (level_mass + PRIOR * share / share.sum()) / (facts + PRIOR) / level_size.clamp_min(1)
        rate = mass / facts.clamp_min(1) + self.shrinkage * level.repeat(1, BINS)
        return (self.num_entities * rate / (size + self.shrinkage)).log()

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        sizes = {"num_entities": self.num_entities, "num_relations": self.num_relations}
        return {**sizes, "num_pairs": self.count.numel(), "penalty": self.penalty, "shrinkage": self.shrinkage}

    def extra_repr(self) -> str:
        """What is shown of it."""
        return f"{self.num_entities}, {self.num_relations}, pairs={self.count.numel()}"
