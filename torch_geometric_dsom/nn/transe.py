"""TransE with reciprocal relations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.functional import negative_distance
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class TransEInteraction(Interaction):
    r"""The TransE scoring function, :math:`- \lVert h + r - t \rVert_p`, see :class:`TransE`.

    With :math:`p = 2` all entities are scored by a matrix product; :math:`p = 1` costs :math:`d` additions a score.
    No ``[B, N, d]`` tensor is made in either case.

    Args:
        rank (int): Number of dimensions :math:`d`.
        p (float): Norm, 1 or 2. (default: :obj:`2.0`)
        normalize (bool): Whether entity vectors are scaled to length one (in the same norm) before they are used, as
            PyG does. (default: :obj:`False`)

    Raises:
        ConfigError: If the norm is another one.

    Example:
        >>> import torch
        >>> interaction = TransEInteraction(rank=2)
        >>> query = interaction.query(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 2.0]]))
        >>> interaction.score(query, torch.tensor([[0.0, 0.0], [3.0, 3.0]]))
        tensor([[-5., -1.]])
    """

    name = "transe"

    def __init__(self, rank: int, p: float = 2.0, normalize: bool = False) -> None:
        super().__init__(rank, rank, rank)
        if p not in (1, 2):
            raise ConfigError(f"p: expected the norm 1 or 2, got {p}")
        self.p = float(p)
        self.normalize = normalize

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The sum of head and relation."""
        return self._unit(head) + relation

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """Negative distances."""
        return negative_distance(query, self._unit(table), self.p)

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """Negative distances of pairs."""
        distance: Tensor = torch.linalg.vector_norm(query - self._unit(tail), ord=self.p, dim=-1)
        return -distance

    def inverse(self, relation: Tensor) -> Tensor:
        """The opposite translations."""
        return -relation

    def config(self) -> dict[str, Any]:
        """Name and arguments, plain values."""
        return {**super().config(), "p": self.p, "normalize": self.normalize}

    def _unit(self, entity: Tensor) -> Tensor:
        return nn.functional.normalize(entity, p=self.p, dim=-1) if self.normalize else entity


class TransE(EmbeddingScorer):
    r"""The TransE scorer of `"Translating Embeddings for Modeling Multi-Relational Data"
    <https://papers.nips.cc/paper/5071-translating-embeddings-for-modeling-multi-relational-data>`_ with reciprocal
    relations.

    .. math::
        z(h, r, t) = - \lVert h + r - t \rVert_p

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of dimensions :math:`d`. (default: :obj:`200`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial values. (default: :obj:`0.25`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.
        p (float): Norm, 1 or 2. (default: :obj:`2.0`)
        normalize (bool): Whether entity vectors are scaled to length one. (default: :obj:`False`)

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import TransE
        >>> model = TransE(num_entities=5, num_relations=2, rank=4)
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
        p: float = 2.0,
        normalize: bool = False,
    ) -> None:
        interaction = TransEInteraction(rank, p, normalize)
        super().__init__(num_entities, num_relations, interaction, dropout, init_scale, generator)
