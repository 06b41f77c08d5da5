"""A scorer that counts: how often an entity answers a relation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight


class FrequencyScorer(Guide):
    r"""Evidence of how often an entity answers a relation, against how often it answers anything.

    With :math:`n(r, t)` the training facts of relation :math:`r` with tail :math:`t`, and :math:`n(t)` those of any
    relation, inverse ones included:

    .. math::
        e(h, r, t) = \log \bigl(1 + n(r, t)\bigr) - \delta \log \bigl(1 + n(t)\bigr)

    It does not depend on the head: a prior.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.
        num_pairs (int): How many different pairs :math:`(r, t)` there are, inverse ones included.
        discount (float): The share :math:`\delta`, in :math:`[0, 1]`. (default: :obj:`0.5`)

    Raises:
        ConfigError: If the discount is out of range.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[0, 1, 2, 0], [3, 3, 4, 4]])  # twice 3 and once 4, where they live
        >>> lives_in, works_in = 0, 1
        >>> edge_type = torch.tensor([lives_in, lives_in, lives_in, works_in])
        >>> data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=6, num_relations=2)
        >>> counts = FrequencyScorer.from_data(data)
        >>> counts.score_tails(torch.tensor([5]), torch.tensor([lives_in])).argmax().item()
        3
    """

    name = "frequency"

    def __init__(self, num_entities: int, num_relations: int, num_pairs: int = 0, discount: float = 0.5) -> None:
        super().__init__()
        if not 0 <= discount <= 1:
            raise ConfigError(f"discount: expected a share in [0, 1], got {discount}")
        self.num_entities, self.num_relations, self.discount = num_entities, num_relations, discount
        self.start: Tensor  # of each relation's answers
        self.answer: Tensor
        self.count: Tensor
        self.total: Tensor
        self.register_buffer("start", torch.zeros(2 * num_relations + 1, dtype=torch.long))
        self.register_buffer("answer", torch.zeros(num_pairs, dtype=torch.int32))
        self.register_buffer("count", torch.zeros(num_pairs, dtype=torch.int32))
        self.register_buffer("total", torch.zeros(num_entities, dtype=torch.int32))

    @classmethod
    def from_data(cls, data: Data, discount: float = 0.5) -> FrequencyScorer:
        """Counts the training facts of a graph.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            discount (float): See :class:`FrequencyScorer`. (default: :obj:`0.5`)

        Raises:
            ConfigError: If the discount is out of range.
        """
        entities, relations = graph_sizes(data)
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)
        pair, count = (facts[:, 1] * entities + facts[:, 2]).unique(return_counts=True)
        scorer = cls(entities, relations, pair.numel(), discount)
        scorer.start[1:] = torch.bincount(pair // entities, minlength=2 * relations).cumsum(0)
        scorer.answer.copy_(pair % entities)
        scorer.count.copy_(count)
        scorer.total.copy_(torch.bincount(facts[:, 2], minlength=entities))
        return scorer

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        relations, which = rel.unique(return_inverse=True)  # a relation is told once, however many queries have it
        total = self.total if candidates is None else self.total[candidates]
        told = total.float().log1p().mul_(-self.discount).repeat(relations.numel(), 1)
        first = self.start[relations]
        row, place = expand_rows(first, self.start[relations + 1] - first)
        here = self.count[place].float().log1p()
        self._add_pairs(told, row, self.answer[place].long(), here, candidates, 1.0)
        return self._add_rows(scores, told[which], weight)

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        sizes = {"num_entities": self.num_entities, "num_relations": self.num_relations}
        return {**sizes, "num_pairs": self.answer.numel(), "discount": self.discount}

    def extra_repr(self) -> str:
        """What is shown of it."""
        return f"{self.num_entities}, {self.num_relations}, pairs={self.answer.numel()}"
