"""One step of messages along the facts of a graph, from the entities that a query has reached."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torch_geometric_dsom.nn.weighted_sum import weighted_sum


class Pairs(NamedTuple):
    """What is known of entities, each with the query that it is known for.

    Args:
        row (Tensor): Row of the batch, ``[P]``, int64.
        entity (Tensor): Entity, ``[P]``, int64.
        value (Tensor): ``[P]`` or ``[P, D]``.
    """

    row: Tensor
    entity: Tensor
    value: Tensor


class Messages(NamedTuple):
    """The messages of one step, of one query.

    Args:
        source (Tensor): Entity that each comes from, ``[E]``, int64.
        kind (Tensor): Relation in :math:`[0, 2R)` that it walks along, or :math:`2R` where it stays, ``[E]``, int64.
        target (Tensor): Entity that it reaches, ``[E]``, int64.
        weight (Tensor): How much it is listened to, in :math:`(0, 1)`, ``[E]``.
    """

    source: Tensor
    kind: Tensor
    target: Tensor
    weight: Tensor


class PathLayer(nn.Module):
    r"""One step of :class:`PathScorer`: messages along facts, weighed by what they come from and what is asked.

    Args:
        dim (int): Width of the vectors.
        num_kinds (int): Relations that messages walk along, inverse ones and the one of staying counted.
        attention_dim (int): Width of what a message is weighed by.
    """

    def __init__(self, dim: int, num_kinds: int, attention_dim: int) -> None:
        super().__init__()
        self.relation = nn.Parameter(torch.empty(num_kinds, dim))
        self.source = nn.utils.skip_init(nn.Linear, dim, attention_dim, bias=False)
        self.kind = nn.utils.skip_init(nn.Linear, dim, attention_dim, bias=False)
        self.asked = nn.utils.skip_init(nn.Linear, dim, attention_dim)
        self.attention = nn.utils.skip_init(nn.Linear, attention_dim, 1)
        self.message = nn.utils.skip_init(nn.Linear, dim, dim, bias=False)

    def forward(
        self, reached: Pairs, query: Tensor, place: Tensor, kind: Tensor, target: Tensor, size: int
    ) -> tuple[Tensor, Tensor]:
        """What the messages tell each entity that they reach, ``[size, D]``, and the weight of each, ``[E]``.

        Args:
            reached (Pairs): The entities that they come from, with their state.
            query (Tensor): Vectors of the queries, ``[B, D]``.
            place (Tensor): Where each message comes from, ``[E]``, int64.
            kind (Tensor): The relation that it walks along, ``[E]``, int64.
            target (Tensor): Where it arrives, ``[E]``, int64.
            size (int): Number of entities that are reached.
        """
        # index_select, not []: its gradient adds in one order, whatever the number of threads, and faster.
        known = self.source(reached.value) + self.asked(query).index_select(0, reached.row)
        kinds = self.kind(self.relation).index_select(0, kind)
        weight = torch.sigmoid(self.attention(torch.relu(known.index_select(0, place) + kinds))).squeeze(-1)
        total = weighted_sum(reached.value, place, weight, target, size)
        total = total + weighted_sum(self.relation, kind, weight, target, size)
        return torch.relu(self.message(total)), weight
