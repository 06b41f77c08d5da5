"""RotatE with reciprocal relations."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.nn.functional import complex_query, negative_distance
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class RotatEInteraction(Interaction):
    r"""The RotatE scoring function, :math:`- \lVert h \odot e^{i \theta} - t \rVert_2`, see :class:`RotatE`.

    The norm is the Euclidean one over all complex dimensions, as in PyG and PyKEEN, so that all entities are scored by
    a matrix product; the paper sums moduli.

    Args:
        rank (int): Number of complex dimensions :math:`d`; entity tables have :math:`2d` columns, relations :math:`d`
            angles in radians.
        margin (float): A constant added to all scores, which ranks and a softmax do not notice. (default: :obj:`0.0`)

    Example:
        >>> import math, torch
        >>> interaction = RotatEInteraction(rank=1)
        >>> query = interaction.query(torch.tensor([[1.0, 0.0]]), torch.tensor([[math.pi]]))  # half a turn
        >>> interaction.score(query, torch.tensor([[1.0, 0.0]]))
        tensor([[-2.]])
    """

    name = "rotate"

    def __init__(self, rank: int, margin: float = 0.0) -> None:
        super().__init__(rank, 2 * rank, rank)
        self.margin = margin

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The head, turned by the relation's angles."""
        return complex_query(head, torch.cat([relation.cos(), relation.sin()], dim=-1))

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """Negative Euclidean distances."""
        return self.margin + negative_distance(query, table, 2.0)

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """Negative Euclidean distances of pairs."""
        distance: Tensor = torch.linalg.vector_norm(query - tail, dim=-1)
        return self.margin - distance

    def inverse(self, relation: Tensor) -> Tensor:
        """The opposite angles."""
        return -relation

    def penalty(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """N3 of head and tail; an angle has no size to keep small."""
        return super().penalty(head, relation.new_zeros(relation.shape), tail)

    def config(self) -> dict[str, Any]:
        """Name and arguments, plain values."""
        return {**super().config(), "margin": self.margin}

    def reset_relation(self, table: Tensor, scale: float, generator: torch.Generator) -> None:
        """Draws angles uniformly from the whole circle."""
        nn.init.uniform_(table, -math.pi, math.pi, generator=generator)


class RotatE(EmbeddingScorer):
    r"""The RotatE scorer of `"RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space"
    <https://arxiv.org/abs/1902.10197>`_ with reciprocal relations.

    .. math::
        z(h, r, t) = - \lVert h \odot e^{i \theta_r} - t \rVert_2

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of complex dimensions :math:`d`. (default: :obj:`200`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial entity vectors. (default: :obj:`0.25`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import RotatE
        >>> model = RotatE(num_entities=5, num_relations=2, rank=4)
        >>> model.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        rank: int = 200,
        dropout: float = 0.0,
        init_scale: float = 0.25,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_entities, num_relations, RotatEInteraction(rank), dropout, init_scale, generator)
