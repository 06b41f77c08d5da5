"""A frozen scorer that listens to evidence of another kind as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class GuidedScorer(nn.Module):
    r"""A frozen scorer :math:`z` plus the evidence :math:`e` of a guide that was not trained: a product of experts.

    .. math::
        z'(h, r, t) = \big(z(h, r, t) + w_r \, e(h, r, t)\big) / T

    Args:
        scorer (EmbeddingScorer or GuidedScorer): The scorer, which may have a guide of another kind already.
        guide (Guide): Rules or resembling entities, of the same graph.
        weight (float or list[float]): Weight :math:`w` of the evidence, or one for each relation in :math:`[0, 2R)`.
            (default: :obj:`1.0`)
        temperature (float): Temperature :math:`T` of the sum, at which it is as sure as it is right, see
            :func:`~torch_geometric_dsom.evaluation.fit_temperature`; ranks are the same at any. (default: :obj:`1.0`)

    Raises:
        ConfigError: If sizes disagree, a weight is negative or the temperature is not positive.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ComplEx, RuleScorer
        >>> guided = GuidedScorer(ComplEx(4, 1, rank=2), RuleScorer(4, 1), weight=3.0)
        >>> guided.score_tails(torch.tensor([0]), torch.tensor([1])).shape
        torch.Size([1, 4])
    """

    name = "guided"

    num_entities: int
    num_relations: int

    def __init__(
        self,
        scorer: EmbeddingScorer | GuidedScorer,
        guide: Guide,
        weight: float | Sequence[float] = 1.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [(part.num_entities, part.num_relations) for part in (scorer, guide)]
        if sizes[0] != sizes[1]:
            raise ConfigError(f"guide: expected {sizes[0]} entities and relations, got {sizes[1]}")
        self.num_entities, self.num_relations = sizes[0]
        self.weight = tuple(map(float, weight)) if isinstance(weight, Sequence) else float(weight)
        each = self.weight if isinstance(self.weight, tuple) else (self.weight,)
        if isinstance(self.weight, tuple) and len(each) != 2 * self.num_relations:
            raise ConfigError(f"weight: expected one for each of {2 * self.num_relations} relations, got {len(each)}")
        for value in each:
            if not value >= 0:
                raise ConfigError(f"weight: expected zero or a positive number, got {value}")
        if not temperature > 0:
            raise ConfigError(f"temperature: expected a positive number, got {temperature}")
        self.scorer, self.guide, self.temperature = scorer, guide, float(temperature)
        self.by_relation: Tensor | None
        table = torch.tensor(self.weight) if isinstance(self.weight, tuple) else None
        self.register_buffer("by_relation", table, persistent=False)

    @torch.no_grad()
    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores of entities as answers; arguments as of :meth:`Guide.score_tails`."""
        scores = self.scorer.score_tails(head, rel, candidates)
        return self.tell(scores, head, rel, candidates)

    def tell(self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Makes of what the scorer says what both say together, in place.

        Args:
            scores (Tensor): Of the scorer, ``[B, N]`` or ``[B, C]``; overwritten.
            head (Tensor): As all that follow, see :meth:`Guide.score_tails`.
        """
        self.guide.add_to(scores, head, rel, candidates, self.weight_of(rel))
        return scores if self.temperature == 1.0 else scores.div_(self.temperature)

    def weight_of(self, rel: Tensor) -> Weight:
        """The weight of the evidence, one for each query where relations differ.

        Args:
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
        """
        if isinstance(self.weight, tuple):
            assert self.by_relation is not None
            return self.by_relation[rel]
        return self.weight

    def config(self) -> dict[str, Any]:
        """What it is built from, plain values."""
        guide = {"name": self.guide.name, **self.guide.config()}
        sizes = {"num_entities": self.num_entities, "num_relations": self.num_relations}
        told = {} if self.temperature == 1.0 else {"temperature": self.temperature}
        return {
            "name": self.name,
            **sizes,
            "scorer": self.scorer.config(),
            "guide": guide,
            "weight": self.weight,
            **told,
        }

    def extra_repr(self) -> str:
        """What is shown of it."""
        told = "" if self.temperature == 1.0 else f", temperature={self.temperature}"
        if isinstance(self.weight, tuple):
            return f"weight={min(self.weight)} to {max(self.weight)} by relation{told}"
        return f"weight={self.weight}{told}"
