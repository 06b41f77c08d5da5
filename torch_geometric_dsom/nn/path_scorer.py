"""A guide that is trained: messages walk from the query entity along the facts of the graph."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import compact, expand_rows
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight
from torch_geometric_dsom.nn.path_layer import Messages, Pairs, PathLayer

MESSAGES = 1 << 11  # of the first two steps that are made at once where nothing is learned: what a CPU's cache holds
MANY = 1 << 17  # the same elsewhere


class PathScorer(Guide):
    r"""Evidence of the paths from the query entity to an answer, told by a small graph neural network.

    From the query entity, messages walk along facts, in both directions, or stay, one step a layer, to the entities
    that are reached by then and no others, as in `RED-GNN <https://arxiv.org/abs/2108.06040>`_; the network has
    vectors for relations and none for entities. With :math:`x_h^0 = q_r` at the query entity, the vector of the
    query's relation, as in `NBFNet <https://arxiv.org/abs/2106.06935>`_, and 0 elsewhere,

    .. math::
        m_v^\ell = \sum_{(u, p, v)} \sigma\!\left( a^\ell\, \mathrm{ReLU}(A^\ell x_u^{\ell - 1} + B^\ell w_p^\ell +
        C^\ell q_r) \right) (x_u^{\ell - 1} + w_p^\ell), \qquad
        x_v^\ell = \mathrm{GRU}(\mathrm{ReLU}(M^\ell m_v^\ell),\; x_v^{\ell - 1})

        e(h, r, t) = f(x_t^L, q_r) + \big( b_r \log (1 + n(r, t)) + c_r \big) [n(r, t) > 0]

    where :math:`n(r, t)` are the training facts of :math:`r` with tail :math:`t`. An answer that is not reached within
    :math:`L` steps, and answers :math:`r` nowhere, has zero. Messages enter hubs and leave them only where the hub is
    the query entity. It sees no modality and no entity by name, and is to be trained, see
    :func:`~torch_geometric_dsom.trainer.fit_paths`.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.
        num_facts (int): Facts that messages walk along, both directions counted. (default: :obj:`0`)
        num_answers (int): Pairs of a relation and an entity that answers it. (default: :obj:`0`)
        dim (int): Width :math:`D` of the vectors. (default: :obj:`32`)
        layers (int): Steps :math:`L`. (default: :obj:`3`)
        attention_dim (int): Width of what a message is weighed by. (default: :obj:`5`)
        max_degree (int): Facts of an entity that messages leave again. (default: :obj:`200`)
        generator (torch.Generator, optional): Source of the initial values; a new one seeded with 0 if :obj:`None`.

    Raises:
        ConfigError: If a size is below one.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> PathScorer.from_data(data, dim=8, layers=2)
        PathScorer(60, 2, facts=360, dim=8, layers=2)
    """

    name = "paths"

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        num_facts: int = 0,
        num_answers: int = 0,
        dim: int = 32,
        layers: int = 3,
        attention_dim: int = 5,
        max_degree: int = 200,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = {"dim": dim, "layers": layers, "attention_dim": attention_dim, "max_degree": max_degree}
        for name, number in sizes.items():
            if number < 1:
                raise ConfigError(f"{name}: expected a positive number, got {number}")
        self.num_entities, self.num_relations, self.max_degree = num_entities, num_relations, max_degree
        self.dim, self.attention_dim = dim, attention_dim
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        self.start: Tensor  # of the facts of each entity
        self.relation: Tensor
        self.tail: Tensor
        self.answer_start: Tensor  # of the entities that answer each relation
        self.answer: Tensor
        self.count: Tensor  # how often they do
        self.register_buffer("start", torch.zeros(num_entities + 1, dtype=torch.long))
        self.register_buffer("relation", torch.zeros(num_facts, dtype=torch.int32))
        self.register_buffer("tail", torch.zeros(num_facts, dtype=torch.int32))
        self.register_buffer("answer_start", torch.zeros(2 * num_relations + 1, dtype=torch.long))
        self.register_buffer("answer", torch.zeros(num_answers, dtype=torch.int32))
        self.register_buffer("count", torch.zeros(num_answers, dtype=torch.int32))
        self.query = nn.Parameter(torch.empty(2 * num_relations, dim))
        self.prior = nn.Parameter(torch.empty(2 * num_relations, 2))  # b and c
        self.steps = nn.ModuleList(PathLayer(dim, 2 * num_relations + 1, attention_dim) for _ in range(layers))
        # Values are drawn later, not from torch's global generator.
        self.update = nn.utils.skip_init(nn.GRUCell, dim, dim)
        self.hidden = nn.utils.skip_init(nn.Linear, 2 * dim, dim)
        self.out = nn.utils.skip_init(nn.Linear, dim, 1)
        self.reset_parameters()

    @classmethod
    def from_data(
        cls,
        data: Data,
        dim: int = 32,
        layers: int = 3,
        attention_dim: int = 5,
        max_degree: int = 200,
        generator: torch.Generator | None = None,
    ) -> PathScorer:
        """A guide of a graph, not trained yet.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            dim (int): As all that follow, see :class:`PathScorer`. (default: :obj:`32`)
            layers (int): Steps. (default: :obj:`3`)
            attention_dim (int): Width of what a message is weighed by. (default: :obj:`5`)
            max_degree (int): Facts of an entity that messages leave again. (default: :obj:`200`)
            generator (torch.Generator, optional): Source of the initial values.
        """
        entities, relations = graph_sizes(data)
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)  # sorted by head
        head, relation, tail = facts.unbind(dim=-1)
        pair, count = (relation * entities + tail).unique(return_counts=True)
        sizes = {"num_facts": facts.size(0), "num_answers": pair.numel()}
        options = {"dim": dim, "layers": layers, "attention_dim": attention_dim, "max_degree": max_degree}
        guide = cls(entities, relations, **sizes, **options, generator=generator)
        guide.start[1:] = torch.bincount(head, minlength=entities).cumsum(0)
        guide.relation.copy_(relation)
        guide.tail.copy_(tail)
        guide.answer_start[1:] = torch.bincount(pair // entities, minlength=2 * relations).cumsum(0)
        guide.answer.copy_(pair % entities)
        guide.count.copy_(count)
        return guide

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all parameters anew."""
        for name, value in self.named_parameters():
            if name == "prior" or "bias" in name:
                value.zero_()
            else:
                nn.init.xavier_normal_(value, generator=self.generator)

    def evidence(self, head: Tensor, rel: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Evidence for all entities, ``[B, N]``; gradients reach the parameters.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            left_out (Tensor, optional): For each query the tail of a fact that is looked at as if it were missing, or
                -1, ``[B]``, int64. Nothing is left out if :obj:`None`.
        """
        rows, which, there, number = self._counted(rel)
        told = rows.index_select(0, which)
        if left_out is not None:
            count = torch.zeros_like(rows).index_put_(there, number)
            place = torch.arange(rel.numel(), device=rel.device), left_out.clamp_min(0)
            here = torch.where(left_out >= 0, count[which, place[1]], 0)
            slope, offset = self.prior.index_select(0, rel).unbind(dim=-1)
            before, after = (
                torch.where(number > 0, slope * number.clamp_min(0).log1p() + offset, 0) for number in (here, here - 1)
            )
            told.index_put_(place, after - before, accumulate=True)
        row, entity, value = self._told(head, rel, left_out)
        return told.index_put_((row, entity), value, accumulate=True)

    @torch.no_grad()
    def messages(self, head: int, relation: int) -> list[Messages]:
        """The messages of each step of a query, see :func:`~torch_geometric_dsom.nn.strongest_paths`.

        Args:
            head (int): Query entity.
            relation (int): In :math:`[0, 2R)`.
        """
        found: list[Messages] = []
        device = self.start.device
        self._walk(torch.tensor([head], device=device), torch.tensor([relation], device=device), None, found)
        return found

    def _walk(self, head: Tensor, rel: Tensor, left_out: Tensor | None, seen: list[Messages] | None = None) -> Pairs:
        """The state of each entity that is reached; what is said on the way goes to ``seen``."""
        query = self.query.index_select(0, rel)
        reached = Pairs(torch.arange(head.numel(), device=head.device), head, query)
        gone = [] if left_out is None else self._facts_between(head, rel, left_out)
        for layer in self.steps:
            place, fact = self._leaving(reached, head, gone)
            stay = torch.arange(reached.row.numel(), device=head.device)
            tail = torch.cat([reached.entity, self.tail.index_select(0, fact).long()])
            kind = self.relation.index_select(0, fact).long()
            kind = torch.cat([torch.full_like(stay, 2 * self.num_relations), kind])
            place = torch.cat([stay, place])
            first = (reached.row * self.num_entities).index_select(0, place)
            key, target = compact(first + tail, head.numel() * self.num_entities)
            told, weight = layer(reached, query, place, kind, target, key.numel())
            if seen is not None:
                seen.append(Messages(reached.entity[place], kind, tail, weight))
            before = told.new_zeros(told.shape).index_copy(0, target[: stay.numel()], reached.value)
            reached = Pairs(key // self.num_entities, key % self.num_entities, self.update(told, before))
        return reached

    def _leaving(self, reached: Pairs, head: Tensor, gone: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Which of the reached each message comes from, and the place of the fact that it walks along."""
        first = self.start[reached.entity]
        degree = self.start[reached.entity + 1] - first
        leaves = (degree <= self.max_degree) | (reached.entity == head[reached.row])
        whose, count = torch.arange(degree.numel(), device=head.device), torch.where(leaves, degree, 0)
        for entity, fact in gone:  # a run of facts is cut in two where one of them is left out
            here = torch.where(reached.entity == entity[reached.row], fact[reached.row], -1)[whose]
            cut = ((here >= first) & (here < first + count)).nonzero().flatten()
            after, rest = here[cut] + 1, (first + count - here)[cut] - 1
            count = count.index_copy(0, cut, (here - first)[cut])
            first, count, whose = torch.cat([first, after]), torch.cat([count, rest]), torch.cat([whose, whose[cut]])
        run, fact = expand_rows(first, count)
        return whose.index_select(0, run), fact

    def _facts_between(self, head: Tensor, rel: Tensor, tail: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Where the facts of queries are among those of their head, and of their tail, as entity and place; or -1."""
        found = []
        inverse = (rel + self.num_relations) % (2 * self.num_relations)
        for one, relation, other in ((head, rel, tail), (tail.clamp_min(0), inverse, head)):
            first = self.start[one]
            row, fact = expand_rows(first, self.start[one + 1] - first)
            there = (self.relation[fact] == relation[row]) & (self.tail[fact] == other[row]) & (tail[row] >= 0)
            found.append((one, torch.full_like(one, -1).index_copy(0, row[there], fact[there])))
        return found

    def _told(self, head: Tensor, rel: Tensor, left_out: Tensor | None = None) -> Pairs:
        """What paths tell of the entities that are reached."""
        reached = self._walk(head, rel, left_out)
        asked = self.query.index_select(0, rel[reached.row])
        value = self.out(torch.relu(self.hidden(torch.cat([reached.value, asked], dim=-1))))
        return reached._replace(value=value.squeeze(-1))

    def _counted(self, rel: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor]:
        """What it is worth that entities answer a relation, once for each, ``[M, N]``, and which of these is asked.

        Places of the entities that do, and how often each does, follow.
        """
        relations, which = rel.unique(return_inverse=True)
        first = self.answer_start[relations]
        row, place = expand_rows(first, self.answer_start[relations + 1] - first)
        there, count = (row, self.answer[place].long()), self.count[place].to(self.prior)
        slope, offset = self.prior.index_select(0, relations).index_select(0, row).unbind(dim=-1)
        nothing = self.prior.new_zeros(relations.numel(), self.num_entities)
        return nothing.index_put_(there, slope * count.log1p() + offset), which, there, count

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        rows, which, *_ = self._counted(rel)
        self._add_rows(scores, (rows if candidates is None else rows[:, candidates])[which], weight)
        for some in self._parts(head):
            each = weight[some] if isinstance(weight, Tensor) else weight
            self._add_pairs(scores[some], *self._told(head[some], rel[some]), candidates, each)
        return scores

    def _parts(self, head: Tensor) -> list[slice]:
        """Queries that are asked together: some send many more messages than others."""
        degree = self.start.diff()
        row, fact = expand_rows(self.start[head], degree[head])
        onward = degree[self.tail[fact].long()]
        cost = degree[head].index_add(0, row, torch.where(onward <= self.max_degree, onward, 0))
        most = MESSAGES if head.device.type == "cpu" else MANY
        part = cost.clamp_min_(1).cumsum(0).sub_(1).div_(most, rounding_mode="floor")
        cuts = [0, *((part.diff() > 0).nonzero().flatten() + 1).tolist(), head.numel()]
        return [slice(first, end) for first, end in itertools.pairwise(cuts) if end > first]

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        sizes = {"num_facts": self.relation.numel(), "num_answers": self.answer.numel()}
        shape = {"dim": self.dim, "layers": len(self.steps), "attention_dim": self.attention_dim}
        graph = {"num_entities": self.num_entities, "num_relations": self.num_relations}
        return {**graph, **sizes, **shape, "max_degree": self.max_degree}

    def extra_repr(self) -> str:
        """What is shown of it."""
        return f"{self.num_entities}, {self.num_relations}, facts={self.relation.numel()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()}, dim={self.dim}, layers={len(self.steps)})"
