"""A scorer without parameters to train: rules that training facts obey, mined from paths between entities."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows
from torch_geometric_dsom.data.path_index import PathIndex, relations_of
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight

SURE = 0.999  # the most that a rule is believed


class Rule(NamedTuple):
    """A path that speaks for a relation.

    Args:
        body (tuple[int, ...]): Its relations in :math:`[0, 2R)`, one or two.
        relation (int): What follows, in :math:`[0, 2R)`.
        confidence (float): How often it does.
    """

    body: tuple[int, ...]
    relation: int
    confidence: float


class RuleScorer(Guide):
    r"""Evidence of mined rules: paths of one or two facts, as in `AnyBURL <https://doi.org/10.24963/ijcai.2019/435>`_.

    A path :math:`b` from :math:`h` to :math:`t` speaks for :math:`r(h, t)` as far as the training pairs that it joins
    have :math:`r`:

    .. math::
        c(b \Rightarrow r) = \frac{|\{(h, t) : b(h, t) \wedge r(h, t)\}|}{|\{(h, t) : b(h, t)\}| + s}, \qquad
        z(h, r, t) = -\sum_{b : b(h, t)} \log (1 - c(b \Rightarrow r))

    A relation does not speak for itself. An answer that no rule speaks for has zero.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.
        num_bodies (int): How many different paths the rules have.
        num_paths (int): How often these join entities.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[0, 1, 0, 3, 4, 3, 6, 7], [1, 2, 2, 4, 5, 5, 7, 8]])
        >>> parent, grandparent = 0, 1
        >>> edge_type = torch.tensor([0, 0, 1, 0, 0, 1, 0, 0])
        >>> data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=9, num_relations=2)
        >>> rules = RuleScorer.from_data(data, smoothing=1.0, min_support=2)
        >>> rules.rules(grandparent)  # holds for two of three pairs
        [Rule(body=(0, 0), relation=1, confidence=0.5)]
        >>> rules.score_tails(torch.tensor([6]), torch.tensor([grandparent])).argmax().item()
        8
    """

    name = "rules"

    def __init__(self, num_entities: int, num_relations: int, num_bodies: int = 0, num_paths: int = 0) -> None:
        super().__init__()
        self.num_entities, self.num_relations = num_entities, num_relations
        self.body: Tensor
        self.weight: Tensor
        self.start: Tensor
        self.path: Tensor
        self.tail: Tensor
        self.register_buffer("body", torch.zeros(num_bodies, dtype=torch.long))
        self.register_buffer("weight", torch.zeros(num_bodies, 2 * num_relations))
        self.register_buffer("start", torch.zeros(num_entities + 1, dtype=torch.long))
        self.register_buffer("path", torch.zeros(num_paths, dtype=torch.int32))
        self.register_buffer("tail", torch.zeros(num_paths, dtype=torch.int32))

    @classmethod
    def from_data(
        cls, data: Data, smoothing: float = 5.0, min_support: int = 3, max_rules: int = 60, max_degree: int = 200
    ) -> RuleScorer:
        r"""Mines the rules of a graph.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            smoothing (float): The pairs :math:`s` that are added to each path, against rules that were rarely seen.
                (default: :obj:`5.0`)
            min_support (int): Pairs that a rule has to hold for. (default: :obj:`3`)
            max_rules (int): How many rules are kept for each relation, the most confident ones. (default: :obj:`60`)
            max_degree (int): See :class:`~torch_geometric_dsom.data.PathIndex`. (default: :obj:`200`)

        Raises:
            ConfigError: If an argument is out of range.
        """
        if not smoothing >= 0:
            raise ConfigError(f"smoothing: expected zero or a positive number, got {smoothing}")
        for name, number in (("min_support", min_support), ("max_rules", max_rules)):
            if number < 1:
                raise ConfigError(f"{name}: expected a positive number, got {number}")
        index = PathIndex(data, max_degree)
        body, relation, confidence = mine(index, smoothing, min_support, max_rules)
        bodies, number = body.unique(return_inverse=True)
        parts = list(index.chunks(bodies)) if bodies.numel() else []
        head, path, tail = (torch.cat(part) for part in zip(*parts, strict=True)) if parts else [body] * 3
        scorer = cls(index.num_nodes, index.num_relations // 2, bodies.numel(), head.numel())
        scorer.body.copy_(bodies)
        scorer.weight[number, relation] = -torch.log1p(-confidence.clamp_max(SURE))
        scorer.start[1:] = torch.bincount(head, minlength=index.num_nodes).cumsum(0)
        scorer.path.copy_(path)
        scorer.tail.copy_(tail)
        return scorer

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        first = self.start[head]
        row, place = expand_rows(first, self.start[head + 1] - first)
        value = self.weight[self.path[place].long(), rel[row]]
        spoken = value > 0
        row, place, value = row[spoken], place[spoken], value[spoken]
        return self._add_pairs(scores, row, self.tail[place].long(), value, candidates, weight)

    def rules(self, relation: int, most: int = 10) -> list[Rule]:
        """The rules that a relation follows from, the most confident first.

        Args:
            relation (int): In :math:`[0, 2R)`.
            most (int): How many at most. (default: :obj:`10`)
        """
        confidence = -torch.expm1(-self.weight[:, relation])
        best = confidence.topk(min(most, confidence.numel()))
        found = []
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            body = relations_of(int(self.body[place]), 2 * self.num_relations)
            found += [Rule(body, relation, value)] if value > 0 else []
        return found

    @property
    def num_rules(self) -> int:
        """Number of rules."""
        return int((self.weight > 0).sum())

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        sizes = {"num_bodies": self.body.numel(), "num_paths": self.path.numel()}
        return {"num_entities": self.num_entities, "num_relations": self.num_relations, **sizes}

    def extra_repr(self) -> str:
        """What is shown of it."""
        return f"{self.num_entities}, {self.num_relations}, rules={self.num_rules}"


def mine(index: PathIndex, smoothing: float, min_support: int, max_rules: int) -> tuple[Tensor, Tensor, Tensor]:
    """The rules of a graph: path, relation and confidence of each, see :meth:`RuleScorer.from_data`."""
    relations, facts = index.num_relations, index.facts()
    held, joined = _Counter(), _Counter()
    for head, body, tail in index:
        row, relation = facts.rows(head * index.num_nodes + tail)
        joined.add(body)
        held.add(body[row] * relations + relation)
    (rule, support), (bodies, pairs) = held.result(), joined.result()
    body, relation = rule // relations, rule % relations
    itself = body == relation * (relations + 1) + relations
    kept = (support >= min_support) & ~itself
    body, relation, support = body[kept], relation[kept], support[kept]
    confidence = support / (pairs[torch.searchsorted(bodies, body)] + smoothing)
    order = confidence.argsort(descending=True, stable=True)
    order = order[relation[order].argsort(stable=True)]
    count = torch.bincount(relation, minlength=relations)
    rank = torch.arange(order.numel()) - (count.cumsum(0) - count)[relation[order]]
    best = order[rank < max_rules]
    return body[best], relation[best], confidence[best]


class _Counter:
    """How often each number was seen."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []

    def add(self, values: Tensor) -> None:
        self._parts.append(values.unique(return_counts=True))

    def result(self) -> tuple[Tensor, Tensor]:
        """The numbers, sorted, and their counts."""
        if not self._parts:
            return torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)
        values, counts = (torch.cat(part) for part in zip(*self._parts, strict=True))
        found, place = values.unique(return_inverse=True)
        return found, torch.zeros_like(found).index_add_(0, place, counts)
