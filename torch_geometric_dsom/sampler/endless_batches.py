"""Epoch after epoch of a sampler, with a place that can be kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch import Tensor

from torch_geometric_dsom.sampler.query_sampler import QueryBatch, QuerySampler


class EndlessBatches:
    """Batches of a sampler without end; after a pass, the next begins in a new order.

    Args:
        sampler (QuerySampler): Gives the batches.

    Example:
        >>> import torch
        >>> batches = EndlessBatches(QuerySampler(torch.tensor([[0, 0, 1], [1, 0, 2]]), num_relations=1, batch_size=3))
        >>> [next(batches).head.numel() for _ in range(4)]  # four queries a pass
        [3, 1, 3, 1]
    """

    def __init__(self, sampler: QuerySampler) -> None:
        self.sampler = sampler
        self._order: Tensor | None = None  # of the generator when the pass began
        self._position = 0
        self._batches: Iterator[QueryBatch] | None = None

    def __iter__(self) -> EndlessBatches:
        return self

    def __next__(self) -> QueryBatch:
        while True:
            if self._batches is None:
                if self._order is None:
                    self._order = self.sampler.generator.get_state()
                else:
                    self.sampler.generator.set_state(self._order)
                self._batches = islice(self.sampler, self._position, None)
            for batch in self._batches:
                self._position += 1
                return batch
            self._order, self._position, self._batches = None, 0, None

    def state_dict(self) -> dict[str, Any]:
        """Where it is."""
        generator = self.sampler.generator.get_state()
        return {"order": self._order, "position": self._position, "generator": generator}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where :meth:`state_dict` was."""
        self.sampler.generator.set_state(state["generator"])
        self._order, self._position, self._batches = state["order"], state["position"], None
