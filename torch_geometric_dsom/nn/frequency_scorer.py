"""A scorer that counts: how often entities of a kind answer a relation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows, sum_rows
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight

COUNTS = (1, *(1 + (1 << power) for power in range(11)))  # borders of what is told apart
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
    a prior, which takes a byte for each entity, relation and direction.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.

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

    def __init__(self, num_entities: int, num_relations: int) -> None:
        super().__init__()
        self.num_entities, self.num_relations = num_entities, num_relations
        self.kind: Tensor  # the class of each entity, for each relation
        self.value: Tensor  # the evidence of each relation and class
        self.register_buffer("kind", torch.zeros(2 * num_relations, num_entities, dtype=torch.uint8))
        self.register_buffer("value", torch.zeros(2 * num_relations, CLASSES))

    @classmethod
    def from_data(cls, data: Data, penalty: float = 1.0, shrinkage: float = 4.0) -> FrequencyScorer:
        r"""Counts the training facts of a graph.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            penalty (float): Penalty of the regression. (default: :obj:`1.0`)
            shrinkage (float): As how many entities of a class its level counts, :math:`\kappa`. (default: :obj:`4.0`)

        Raises:
            ConfigError: If an argument is out of range.
        """
        for name, number in (("penalty", penalty), ("shrinkage", shrinkage)):
            if not number > 0:
                raise ConfigError(f"{name}: expected a positive number, got {number}")
        entities, relations = graph_sizes(data)
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)
        scorer = cls(entities, relations)
        pair, count = (facts[:, 2] * len(scorer.kind) + facts[:, 1]).unique(return_counts=True)
        tail, relation = pair // len(scorer.kind), pair % len(scorer.kind)
        shown = torch.bincount(tail, minlength=entities)  # relations that an entity answers
        weight = regression(relation, shown, len(scorer.kind), penalty)
        for some in scorer._chunks():
            expected = sum_rows(weight[:, some], relation, shown).T.contiguous()
            scorer.kind[some] = LEVELS * torch.bucketize(expected, torch.tensor(EXPECTATIONS)).to(torch.uint8)
        scorer.kind[relation, tail] += level(count).to(torch.uint8)
        scorer.value.copy_(scorer._evidence(relation, tail, count, shrinkage))
        return scorer

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        relations, which = rel.unique(return_inverse=True)  # a relation is told once, however many queries have it
        kind = self.kind[relations] if candidates is None else self.kind[relations[:, None], candidates]
        return self._add_rows(scores, self.value[relations].gather(1, kind.long())[which], weight)

    def _evidence(self, relation: Tensor, tail: Tensor, count: Tensor, shrinkage: float) -> Tensor:
        """The evidence of each relation and class, from pairs of relation and tail, and the facts of each."""
        size, mass = torch.zeros_like(self.value), torch.zeros_like(self.value)
        for some in self._chunks():
            place = torch.arange(some.numel())[:, None] * CLASSES + self.kind[some]
            size[some] = torch.bincount(place.flatten(), minlength=some.numel() * CLASSES).view(-1, CLASSES).float()
        # The class of a pair's tail, were one of its facts missing.
        missing = self.kind[relation, tail].long() - level(count) + level(count - 1)
        mass.index_put_((relation, missing), count.float(), accumulate=True)
        facts = mass.sum(dim=1, keepdim=True)
        level_size, level_mass = (part.view(-1, BINS, LEVELS).sum(dim=1) for part in (size, mass))
        share = level_mass.sum(dim=0) + 1
        prior = (level_mass + PRIOR * share / share.sum()) / (facts + PRIOR) / level_size.clamp_min(1)
        rate = mass / facts.clamp_min(1) + shrinkage * prior.repeat(1, BINS)
        return (self.num_entities * rate / (size + shrinkage)).log()

    def _chunks(self) -> Iterator[Tensor]:
        """Relations that are looked at together."""
        yield from torch.arange(len(self.kind)).split(max(1, CHUNK // max(1, self.num_entities)))

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        return {"num_entities": self.num_entities, "num_relations": self.num_relations}

    def extra_repr(self) -> str:
        """What is shown of it."""
        return f"{self.num_entities}, {self.num_relations}"


def level(count: Tensor) -> Tensor:
    """Which counts are told apart: 0, 1, 2, up to 4, up to 8 and so on."""
    return torch.bucketize(count, torch.tensor(COUNTS), right=True)


def regression(relation: Tensor, shown: Tensor, num_relations: int, penalty: float) -> Tensor:
    """Weights of relations for each other, of a ridge regression of each on all others, over entities.

    Args:
        relation (Tensor): The relations that each entity answers, one entity after the other, ``[P]``, int64.
        shown (Tensor): How many they are, ``[N]``, int64.
        num_relations (int): Number of relations, directions apart.
        penalty (float): The penalty.

    Returns:
        Tensor: ``[num_relations, num_relations]``, those for a relation in its column; zero for itself.
    """
    together = torch.zeros(num_relations**2, dtype=torch.long)
    first, count = (part.repeat_interleave(shown) for part in (shown.cumsum(0) - shown, shown))
    for some in torch.arange(relation.numel()).split(max(1, CHUNK // max(1, num_relations))):
        row, place = expand_rows(first[some], count[some])
        pair = relation[some][row] * num_relations + relation[place]
        together += torch.bincount(pair, minlength=num_relations**2)
    gram = together.view(num_relations, num_relations).double()
    gram.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    return inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0.0).float()
