"""Which relations an entity might have that training does not show: those of entities that resemble it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import CSR
from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.data.triples import split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError


class RelationAffinity:
    r"""How likely entities are to be the head of relations, from training facts and, where these say nothing, features.

    With :math:`S_e` the relations that training shows of entity :math:`e`, inverse ones included,

    .. math::
        a(e, r) = \frac{1}{|S_e|} \sum_{s \in S_e} P(r \mid s) \quad \text{for } r \notin S_e ,

    :math:`P(r \mid s)` the share of the heads of :math:`s` that are heads of :math:`r` too, and zero for
    :math:`r \in S_e`. An entity without a training fact has the mean of :math:`P(r \mid s)` over the relations of those
    entities whose features are nearest to its own; without features, or where nothing is known, relations are as
    likely as they are frequent.

    Args:
        data (Data): A graph in the data contract; of its facts only those of training are read.
        neighbors (int): How many entities an unseen one is compared with, for each modality. (default: :obj:`10`)

    Raises:
        ConfigError: If the number of neighbours is below one.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> edge_index, edge_type = torch.tensor([[0, 0, 1], [2, 3, 2]]), torch.tensor([0, 1, 0])
        >>> data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=4, num_relations=2)
        >>> RelationAffinity(data).rows(torch.tensor([1])).tolist()  # entity 0 has relation 0 too, and relation 1
        [[0.0, 0.5, 0.0, 0.0]]
    """

    def __init__(self, data: Data, neighbors: int = 10) -> None:
        if neighbors < 1:
            raise ConfigError(f"neighbors: expected a positive number, got {neighbors}")
        self.num_nodes, self.num_relations = int(data.num_nodes), 2 * int(data.num_relations)
        facts = with_inverses(split_triples(data, "train"), int(data.num_relations))
        self.frequency = torch.bincount(facts[:, 1], minlength=self.num_relations).float()
        self._relations = CSR(facts[:, 0], facts[:, 1], self.num_relations)
        head, relation = self._relations.rows(torch.arange(self.num_nodes))
        row, other = self._relations.rows(head)
        pairs = relation[row] * self.num_relations + other
        together = torch.bincount(pairs, minlength=self.num_relations**2).view(-1, self.num_relations).float()
        self.given = together / together.diagonal().clamp_min(1.0).unsqueeze(-1)
        self._like = self._resembling(data, neighbors, head)

    def rows(self, entity: Tensor) -> Tensor:
        r"""The affinities of some entities to all relations.

        Args:
            entity (Tensor): ``[M]``, int64.

        Returns:
            Tensor: ``[M, 2R]``, not normalised.
        """
        own = self._shown(entity)
        alike = self._like[entity]
        row, column = (alike >= 0).nonzero(as_tuple=True)
        theirs = torch.zeros_like(own).index_add_(0, row, self._share(self._shown(alike[row, column])))
        share = torch.where(own.any(dim=-1, keepdim=True), self._share(own), theirs)
        found = (share @ self.given).masked_fill_(own > 0, 0.0)
        nothing = found.sum(dim=-1, keepdim=True) == 0
        return torch.where(nothing, self.frequency, found)

    def _shown(self, entity: Tensor) -> Tensor:
        """Which relations training shows, ``[M, 2R]``."""
        row, relation = self._relations.rows(entity)
        shown = torch.zeros(len(entity), self.num_relations)
        shown[row, relation] = 1.0
        return shown

    @staticmethod
    def _share(shown: Tensor) -> Tensor:
        return shown / shown.sum(dim=-1, keepdim=True).clamp_min(1.0)

    def _resembling(self, data: Data, neighbors: int, heads: Tensor) -> Tensor:
        """The entities with facts that are nearest to each entity without, ``[N, neighbors * modalities]``, or -1."""
        names = modalities(data)
        found = torch.full((self.num_nodes, neighbors * len(names)), -1)
        seen = torch.zeros(self.num_nodes, dtype=torch.bool).index_fill_(0, heads, True)
        for number, name in enumerate(names):
            mask = data[f"{name}_mask"].cpu()
            known, unseen = ((mask & kind).nonzero().flatten() for kind in (seen, ~seen))
            if known.numel() == 0 or unseen.numel() == 0:
                continue
            x = torch.nn.functional.normalize(data[f"x_{name}"][known].float().cpu(), dim=-1)
            count = min(neighbors, known.numel())
            for some in unseen.split(1024):
                near = data[f"x_{name}"][some].float().cpu() @ x.T
                place = slice(number * neighbors, number * neighbors + count)
                found[some, place] = known[near.topk(count, dim=-1).indices]
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}(entities={self.num_nodes}, relations={self.num_relations})"
