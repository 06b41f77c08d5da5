"""TuckER with reciprocal relations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class TuckERInteraction(Interaction):
    r"""The TuckER scoring function, :math:`W \times_1 h \times_2 r \times_3 t`, see :class:`TuckER`.

    The core tensor :math:`W` is a parameter of the interaction. Batch normalisation, which the paper adds, is left out.

    Args:
        rank (int): Number of entity dimensions :math:`d`.
        relation_rank (int, optional): Number of relation dimensions; :obj:`rank` if :obj:`None`.

    Raises:
        ConfigError: If a size is below one.

    Example:
        >>> import torch
        >>> interaction = TuckERInteraction(rank=2, relation_rank=1)
        >>> interaction.core.data = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])  # head, relation, tail
        >>> query = interaction.query(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0]]))
        >>> query.detach()
        tensor([[ 8., 12.]])
    """

    name = "tucker"

    def __init__(self, rank: int, relation_rank: int | None = None) -> None:
        relation_rank = rank if relation_rank is None else relation_rank
        if relation_rank < 1:
            raise ConfigError(f"relation_rank: expected a positive number, got {relation_rank}")
        super().__init__(rank, rank, relation_rank)
        self.core = nn.Parameter(torch.empty(rank, relation_rank, rank))
        self.reset_parameters(torch.Generator().manual_seed(0))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draws the core tensor anew, uniform in :math:`[-1, 1]`."""
        nn.init.uniform_(self.core, -1.0, 1.0, generator=generator)

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The core tensor contracted with head and relation."""
        by_head = head @ self.core.flatten(1)  # one product for the batch, then a small one a row
        return torch.bmm(relation.unsqueeze(1), by_head.view(-1, self.relation_dim, self.entity_dim)).squeeze(1)

    def relation_query(self, head: Tensor, tail: Tensor) -> Tensor:
        """The core tensor contracted with head and tail."""
        by_head = head @ self.core.flatten(1)
        return torch.bmm(by_head.view(-1, self.relation_dim, self.entity_dim), tail.unsqueeze(-1)).squeeze(-1)

    def config(self) -> dict[str, Any]:
        """Name and arguments, plain values."""
        return {**super().config(), "relation_rank": self.relation_dim}


class TuckER(EmbeddingScorer):
    r"""The TuckER scorer of `"TuckER: Tensor Factorization for Knowledge Graph Completion"
    <https://arxiv.org/abs/1901.09590>`_ with reciprocal relations.

    .. math::
        z(h, r, t) = \sum_{ijk} W_{ijk} \, h_i \, r_j \, t_k

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of entity dimensions :math:`d`. (default: :obj:`200`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial tables. (default: :obj:`0.1`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.
        relation_rank (int, optional): Number of relation dimensions; :obj:`rank` if :obj:`None`.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import TuckER
        >>> model = TuckER(num_entities=5, num_relations=2, rank=4, relation_rank=3)
        >>> model.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        rank: int = 200,
        dropout: float = 0.0,
        init_scale: float = 0.1,
        generator: torch.Generator | None = None,
        relation_rank: int | None = None,
    ) -> None:
        interaction = TuckERInteraction(rank, relation_rank)
        super().__init__(num_entities, num_relations, interaction, dropout, init_scale, generator)
