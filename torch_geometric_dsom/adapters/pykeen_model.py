"""A trained or untrained model of PyKEEN as teacher or student."""

from __future__ import annotations

import math
from typing import Any

import torch
from pykeen.models import Model
from pykeen.nn.modules import Interaction as PyKEENModule
from pykeen.utils import get_batchnorm_modules
from torch import Tensor, nn

from torch_geometric_dsom.adapters.pykeen_interaction import CHUNK, PyKEENInteraction
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import EmbeddingScorer


class PyKEENScorer(nn.Module):
    r"""A model of PyKEEN, with our relations: :math:`r + R` is the inverse of :math:`r`.

    A model that was made with inverse triples answers :math:`(?, r, t)` by its inverse relations, any other by its
    scores of all heads. Scores are logits, whatever ``predict_with_sigmoid`` says. Gradients reach the model, so that
    it can be a student; its constraints are applied while it is trained, its regularisers are no part of our
    objectives.

    Args:
        model (pykeen.models.Model): The model, such as an ``ERModel``.

    Raises:
        ConfigError: If it is no model of PyKEEN.

    Example:
        >>> import torch
        >>> from pykeen.models import TransE
        >>> from pykeen.triples import CoreTriplesFactory
        >>> triples = CoreTriplesFactory(torch.tensor([[0, 0, 1]]), num_entities=3, num_relations=1)
        >>> PyKEENScorer(TransE(triples_factory=triples, embedding_dim=4)).score_tails(
        ...     torch.tensor([0, 1]), torch.tensor([0, 1])
        ... ).shape
        torch.Size([2, 3])
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        if not isinstance(model, Model):
            raise ConfigError(
                f"model: expected a pykeen.models.Model, got {type(model).__name__}; "
                "for a bare interaction see PyKEENScorer.from_interaction"
            )
        self.model = model
        self._moved = False

    @staticmethod
    def from_interaction(
        interaction: str | PyKEENModule[Any, Any, Any],
        num_entities: int,
        num_relations: int,
        dim: int,
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> EmbeddingScorer:
        """A scorer of free vectors with reciprocal relations on a bare interaction of PyKEEN.

        Args:
            interaction (str or pykeen.nn.modules.Interaction): The interaction, or its name in PyKEEN.
            num_entities (int): Number of entities :math:`N`.
            num_relations (int): Number of relations :math:`R`, without inverses.
            dim (int): Size of every dimension of its representations.
            generator (torch.Generator, optional): Source of initial values.
            **kwargs: Further arguments of :class:`PyKEENInteraction`.
        """
        ours = PyKEENInteraction(interaction, dim, **kwargs)
        return EmbeddingScorer(num_entities, num_relations, ours, generator=generator)

    @property
    def num_entities(self) -> int:
        """Number of entities :math:`N`."""
        return int(self.model.num_entities)

    @property
    def num_relations(self) -> int:
        """Number of relations :math:`R`, without inverses."""
        return int(self.model.num_real_relations)

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        r"""Scores of candidate answers to :math:`(h, r, ?)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            candidates (Tensor, optional): Entities to score, ``[C]``, int64; all of them if :obj:`None`.

        Returns:
            Tensor: ``[B, N]`` or ``[B, C]``.
        """
        if self.training or self._moved:  # constraints, where the model has some; once more after the last step
            self.model.post_parameter_update()
            self._moved = self.training
        count = self.num_entities if candidates is None else candidates.numel()
        if head.numel() == 0 or count == 0:  # not every model can score nothing
            return torch.zeros(head.numel(), count, device=self.model.device)
        relation, inverse = rel % self.num_relations, rel >= self.num_relations
        if self.model.use_inverse_triples:  # PyKEEN numbers them in turns
            return self._tails(torch.stack([head, 2 * relation + inverse], dim=-1), candidates)
        forth, back = (~inverse).nonzero().flatten(), inverse.nonzero().flatten()
        parts = []
        if forth.numel() > 0:
            parts.append(self._tails(torch.stack([head, relation], dim=-1)[forth], candidates))
        if back.numel() > 0:
            parts.append(self._heads(torch.stack([relation, head], dim=-1)[back], candidates))
        return torch.cat(parts)[torch.cat([forth, back]).argsort()]

    def _tails(self, pairs: Tensor, candidates: Tensor | None) -> Tensor:
        scores: Tensor = self.model.score_t(pairs, slice_size=self._slice(pairs), tails=candidates)
        return scores

    def _heads(self, pairs: Tensor, candidates: Tensor | None) -> Tensor:
        scores: Tensor = self.model.score_h(pairs, slice_size=self._slice(pairs), heads=candidates)
        return scores

    def _slice(self, pairs: Tensor) -> int | None:
        """Entities at a time, so that a model that broadcasts stays within bounds; all at once where they fit."""
        if self.training and get_batchnorm_modules(self.model):
            return None  # statistics of a slice would not be those of the batch
        parts = [
            *getattr(self.model, "entity_representations", ()),
            *getattr(self.model, "relation_representations", ()),
        ]
        width = max((math.prod(part.shape) for part in parts), default=1)
        size = CHUNK // max(pairs.size(0) * width, 1)
        return None if size >= self.num_entities else max(1, size)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_entities={self.num_entities}, num_relations={self.num_relations}"
