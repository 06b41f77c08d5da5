"""Queries that no training fact answers: a soft label needs no gold answer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.relation_affinity import RelationAffinity
from torch_geometric_dsom.data.triples import split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError

KINDS = ("frequent", "alike")


class UnlabelledSampler:
    r"""Draws queries :math:`(e, r)` over all entities.

    Entities :math:`e` of :math:`d_e` training facts are drawn with a probability that grows as :math:`(1 + d_e)^p`. By
    default :math:`p = 0`, so that one which training hardly or never shows gets as many soft labels as a hub, although
    hubs are asked about more often. Relations are drawn as often as they are in training, or for each entity those that
    resembling entities have, see :class:`~torch_geometric_dsom.data.RelationAffinity`: most other questions have no
    answer.

    Args:
        data (Data): A graph in the data contract; of its facts only those of training are read.
        generator (torch.Generator, optional): Source of the draws; a new one seeded with 0 if :obj:`None`.
        relations (str): ``"frequent"`` or ``"alike"``. (default: :obj:`"frequent"`)
        degree_power (float): :math:`p`, zero or positive. (default: :obj:`0.0`)

    Raises:
        ConfigError: If :obj:`relations` is neither, or the power is negative.
        DataError: If there is no training fact.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=4, num_relations=1)
        >>> head, relation = UnlabelledSampler(data).sample(3)
        >>> head.shape, bool((relation < 2).all())
        (torch.Size([3]), True)
    """

    def __init__(
        self,
        data: Data,
        generator: torch.Generator | None = None,
        relations: str = "frequent",
        degree_power: float = 0.0,
    ) -> None:
        if not degree_power >= 0:
            raise ConfigError(f"degree_power: expected zero or a positive number, got {degree_power}")
        if relations not in KINDS:
            raise ConfigError(f"relations: expected one of {list(KINDS)}, got '{relations}'")
        self.num_nodes = int(data.num_nodes)
        self._relations = with_inverses(split_triples(data, "train"), int(data.num_relations))[:, 1]
        if self._relations.numel() == 0:
            raise DataError("data: expected at least one training fact, got none")
        self.shares: Tensor | None = None  # of all entities up to each
        if degree_power > 0:
            degrees = torch.bincount(data.edge_index.flatten().cpu(), minlength=self.num_nodes)
            weights = (1.0 + degrees.double()).pow(degree_power)
            self.shares = weights.cumsum(0) / weights.sum()
        self.affinity = RelationAffinity(data) if relations == "alike" else None
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)

    def sample(self, number: int) -> tuple[Tensor, Tensor]:
        """Draws queries.

        Args:
            number (int): How many.

        Returns:
            tuple[Tensor, Tensor]: Entities and relations in :math:`[0, 2R)`, ``[number]`` int64 each.

        Raises:
            ConfigError: If the number is negative.
        """
        if number < 0:
            raise ConfigError(f"number: expected zero or a positive number, got {number}")
        head = self._entities(number)
        if self.affinity is not None and number > 0:
            return head, torch.multinomial(self.affinity.rows(head), 1, generator=self.generator).flatten()
        fact = torch.randint(self._relations.numel(), (number,), generator=self.generator)
        return head, self._relations[fact]

    def _entities(self, number: int) -> Tensor:
        if self.shares is None:
            return torch.randint(self.num_nodes, (number,), generator=self.generator)
        lots = torch.rand(number, dtype=torch.float64, generator=self.generator)
        return torch.searchsorted(self.shares, lots, right=True).clamp_max(self.num_nodes - 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(entities={self.num_nodes}, facts={self._relations.numel()})"
