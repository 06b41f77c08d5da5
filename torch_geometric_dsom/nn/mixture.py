"""Several interactions side by side, their scores added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.interaction import Interaction


class SumInteraction(Interaction):
    r"""The weighted sum of several scoring functions, each on its own columns of the tables.

    .. math::
        z(h, r, t) = \sum_k w_k \, z_k(h_k, r_k, t_k)

    Args:
        parts (list[Interaction]): The scoring functions.
        weights (list[float], optional): Weight :math:`w_k` of each; one each if :obj:`None`.

    Raises:
        ConfigError: If there is no part or the number of weights differs.

    Example:
        >>> from torch_geometric_dsom.nn import DistMultInteraction, TransEInteraction
        >>> SumInteraction([DistMultInteraction(2), TransEInteraction(3)], [0.5, 1.0]).entity_dim
        5
    """

    name = "sum"

    def __init__(self, parts: Sequence[Interaction], weights: Sequence[float] | None = None) -> None:
        if not parts:
            raise ConfigError("parts: expected at least one interaction, got none")
        weights = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]
        if len(weights) != len(parts):
            raise ConfigError(f"weights: expected {len(parts)} of them, got {len(weights)}")
        sizes = ("rank", "entity_dim", "relation_dim", "query_dim")
        super().__init__(*(sum(getattr(part, size) for part in parts) for size in sizes))
        self.parts = nn.ModuleList(parts)
        self.weights = tuple(weights)

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The parts' query vectors side by side."""
        columns = zip(self._parts(), self._cut(head, "entity_dim"), self._cut(relation, "relation_dim"), strict=True)
        return torch.cat([part.query(h, r) for part, h, r in columns], dim=-1)

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """The weighted sum of the parts' scores."""
        columns = zip(self._each(query, table), self.weights, strict=True)
        return torch.stack([weight * part.score(q, e) for (part, q, e), weight in columns]).sum(dim=0)

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """The weighted sum of the parts' scores of pairs."""
        columns = zip(self._each(query, tail), self.weights, strict=True)
        return torch.stack([weight * part.score_facts(q, t) for (part, q, t), weight in columns]).sum(dim=0)

    def inverse(self, relation: Tensor) -> Tensor:
        """The parts' inverse relations side by side."""
        columns = zip(self._parts(), self._cut(relation, "relation_dim"), strict=True)
        return torch.cat([part.inverse(r) for part, r in columns], dim=-1)

    def config(self) -> dict[str, Any]:
        """Name and arguments, plain values."""
        return {"name": self.name, "parts": [part.config() for part in self._parts()], "weights": list(self.weights)}

    def _each(self, query: Tensor, table: Tensor) -> list[tuple[Interaction, Tensor, Tensor]]:
        return list(zip(self._parts(), self._cut(query, "query_dim"), self._cut(table, "entity_dim"), strict=True))

    def _parts(self) -> list[Interaction]:
        return [part for part in self.parts if isinstance(part, Interaction)]

    def _cut(self, x: Tensor, size: str) -> tuple[Tensor, ...]:
        return torch.split(x, [getattr(part, size) for part in self._parts()], dim=-1)
