"""DistMult with reciprocal relations."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class DistMultInteraction(Interaction):
    r"""The DistMult scoring function, :math:`\langle h \odot r, t \rangle`, see :class:`DistMult`.

    Args:
        rank (int): Number of dimensions :math:`d`.

    Example:
        >>> import torch
        >>> interaction = DistMultInteraction(rank=2)
        >>> query = interaction.query(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        >>> interaction.score(query, torch.tensor([[1.0, 1.0]]))
        tensor([[11.]])
    """

    name = "distmult"

    def __init__(self, rank: int) -> None:
        super().__init__(rank, rank, rank)

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The element-wise product of head and relation."""
        return head * relation

    def relation_query(self, head: Tensor, tail: Tensor) -> Tensor:
        """The element-wise product of head and tail."""
        return head * tail

    def inverse(self, relation: Tensor) -> Tensor:
        """The relations themselves: the scoring function is symmetric."""
        return relation


class DistMult(EmbeddingScorer):
    r"""The DistMult scorer of `"Embedding Entities and Relations for Learning and Inference in Knowledge Bases"
    <https://arxiv.org/abs/1412.6575>`_ with reciprocal relations.

    .. math::
        z(h, r, t) = \sum_{i=1}^{d} h_i \, r_i \, t_i

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of dimensions :math:`d`. (default: :obj:`200`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial values. (default: :obj:`1e-2`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import DistMult
        >>> model = DistMult(num_entities=5, num_relations=2, rank=4)
        >>> model.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        rank: int = 200,
        dropout: float = 0.0,
        init_scale: float = 1e-2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_entities, num_relations, DistMultInteraction(rank), dropout, init_scale, generator)
