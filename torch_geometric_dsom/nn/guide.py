"""What guides share: evidence for answers that a frozen scorer may listen to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

Weight: TypeAlias = float | Tensor  # of the evidence, one for all queries or one for each


class Guide(nn.Module, ABC):
    """Evidence for answers that is not made of entity vectors: mined, solved, counted, or told by paths.

    Subclasses have a ``name``, the sizes of their graph, and give :meth:`from_data`, :meth:`add_to` and :meth:`config`.

    Example:
        >>> from torch_geometric_dsom.nn import Guide, RuleScorer
        >>> isinstance(RuleScorer(4, 1), Guide)
        True
    """

    name: ClassVar[str]
    num_entities: int
    num_relations: int

    @torch.no_grad()
    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Evidence for entities as answers.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            candidates (Tensor, optional): Entities to score, ``[C]``, int64, each once; all of them if :obj:`None`.

        Returns:
            Tensor: ``[B, N]`` or ``[B, C]``.
        """
        width = self.num_entities if candidates is None else candidates.numel()
        return self.add_to(torch.zeros(head.numel(), width, device=head.device), head, rel, candidates)

    @abstractmethod
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """Adds the evidence to scores that are there already.

        Args:
            scores (Tensor): ``[B, N]`` or ``[B, C]``; overwritten.
            head (Tensor): As all that follow, see :meth:`score_tails`.
            weight (float or Tensor): Weight of the evidence, or one for each query, ``[B]``. (default: :obj:`1.0`)

        Returns:
            Tensor: :obj:`scores`.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""

    @classmethod
    @abstractmethod
    def from_data(cls, data: Data) -> Guide:
        """What the training facts of a graph tell.

        Args:
            data (Data): A graph in the data contract.
        """

    @staticmethod
    def _add_rows(scores: Tensor, rows: Tensor, weight: Weight) -> Tensor:
        """Adds evidence for all that is scored, ``[B, N]`` or ``[B, C]``."""
        if isinstance(weight, Tensor):
            return scores.addcmul_(rows.to(scores.dtype), weight[:, None].to(scores.dtype))
        return scores.add_(rows.to(scores.dtype), alpha=weight)

    def _add_pairs(
        self, scores: Tensor, row: Tensor, entity: Tensor, value: Tensor, candidates: Tensor | None, weight: Weight
    ) -> Tensor:
        """Adds evidence for pairs of query and entity, which may repeat; what is no candidate is left out."""
        if candidates is not None:
            slot = entity.new_full((self.num_entities,), -1)
            slot[candidates] = torch.arange(candidates.numel(), device=slot.device)
            there = slot[entity] >= 0
            row, entity, value = row[there], slot[entity[there]], value[there]
        value = value * (weight[row] if isinstance(weight, Tensor) else weight)
        return scores.index_put_((row, entity), value.to(scores.dtype), accumulate=True)
