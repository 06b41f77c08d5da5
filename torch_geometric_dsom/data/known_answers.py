"""Which answers of a query are known: what filtered ranks leave out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import CSR
from torch_geometric_dsom.data.triples import split_triples, with_inverses


class KnownAnswers:
    """Known answers of queries ``(entity, relation)``, relations in :math:`[0, 2R)`, looked up in batches.

    Args:
        triples (Tensor): Facts ``[E, 3]`` (head, relation, tail); each is known from both sides.
        num_entities (int): Number of entities.
        num_relations (int): Number of relations :math:`R`, without inverses.

    Example:
        >>> import torch
        >>> known = KnownAnswers(torch.tensor([[0, 0, 2], [0, 0, 1]]), num_entities=3, num_relations=1)
        >>> row, answer = known.rows(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> row.tolist(), answer.tolist()
        ([0, 0, 1], [1, 2, 0])
    """

    def __init__(self, triples: Tensor, num_entities: int, num_relations: int) -> None:
        self.num_entities = num_entities
        self.num_relations = num_relations
        head, relation, tail = with_inverses(triples, num_relations).unbind(dim=-1)
        self._answers = CSR(self._key(head, relation), tail, num_entities)

    @classmethod
    def from_data(cls, data: Data, splits: Sequence[str] = ("train", "val", "test")) -> KnownAnswers:
        """Takes the facts of some splits of a graph in the data contract."""
        triples = torch.cat([split_triples(data, split) for split in splits])
        return cls(triples, int(data.num_nodes), int(data.num_relations))

    def rows(self, entity: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
        """The known answers of a batch of queries.

        Args:
            entity (Tensor): ``[B]``, int64.
            relation (Tensor): ``[B]``, int64, in :math:`[0, 2R)`.

        Returns:
            tuple[Tensor, Tensor]: Row of the batch and answer, ``[nnz]`` each; sorted within a row, each once.
        """
        return self._answers.rows(self._key(entity, relation))

    def _key(self, entity: Tensor, relation: Tensor) -> Tensor:
        return entity * (2 * self.num_relations) + relation

    def __len__(self) -> int:
        return self._answers.num_keys

    def __repr__(self) -> str:
        return f"{type(self).__name__}(queries={len(self)}, answers={self._answers.num_values})"
