"""Which answers of a query are known: what filtered ranks leave out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import CSR
from torch_geometric_dsom.data.triples import check_triples, graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError


class KnownAnswers:
    """Known answers of queries ``(entity, relation)``, relations in :math:`[0, 2R)`, looked up in batches.

    Args:
        triples (Tensor): Facts ``[E, 3]`` (head, relation, tail); each is known from both sides.
        num_entities (int): Number of entities.
        num_relations (int): Number of relations :math:`R`, without inverses.

    Raises:
        DataError: If a fact is about an entity or a relation that does not exist.

    Example:
        >>> import torch
        >>> known = KnownAnswers(torch.tensor([[0, 0, 2], [0, 0, 1]]), num_entities=3, num_relations=1)
        >>> row, answer = known.rows(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> row.tolist(), answer.tolist()
        ([0, 0, 1], [1, 2, 0])
    """

    def __init__(self, triples: Tensor, num_entities: int, num_relations: int) -> None:
        check_triples(triples, num_entities, num_relations)
        self._num_entities = num_entities
        self._num_relations = num_relations
        self._device = triples.device
        head, relation, tail = with_inverses(triples, num_relations).unbind(dim=-1)
        self._answers = CSR(self._key(head, relation), tail, num_entities)

    @classmethod
    def from_data(cls, data: Data, splits: Sequence[str] = ("train", "val", "test")) -> KnownAnswers:
        """Takes the facts of some splits of a graph in the data contract.

        Args:
            data (Data): The graph; splits that it does not have are empty.
            splits (list[str]): Which splits. (default: :obj:`("train", "val", "test")`)

        Raises:
            ConfigError: If there is no split or an unknown one.
            DataError: If the graph does not tell its sizes or does not keep to them.
        """
        splits = (splits,) if isinstance(splits, str) else splits
        if not splits:
            raise ConfigError("splits: expected at least one, got none")
        return cls(torch.cat([split_triples(data, split) for split in splits]), *graph_sizes(data))

    @property
    def num_entities(self) -> int:
        """Number of entities."""
        return self._num_entities

    @property
    def num_relations(self) -> int:
        """Number of relations :math:`R`, without inverses."""
        return self._num_relations

    def rows(self, entity: Tensor, relation: Tensor) -> tuple[Tensor, Tensor]:
        """The known answers of a batch of queries.

        Args:
            entity (Tensor): ``[B]``, int64, on any device.
            relation (Tensor): ``[B]``, int64, in :math:`[0, 2R)`.

        Returns:
            tuple[Tensor, Tensor]: Row of the batch and answer, ``[nnz]`` each, on the device of the queries; sorted
            within a row, each once.

        Raises:
            DataError: If a relation is out of range.
        """
        if relation.numel() and not 0 <= int(relation.min()) <= int(relation.max()) < 2 * self._num_relations:
            low, high = int(relation.min()), int(relation.max())
            raise DataError(f"relation: expected values in [0, {2 * self._num_relations}), got {low} to {high}")
        row, answer = self._answers.rows(self._key(entity, relation).to(self._device))
        return row.to(entity.device), answer.to(entity.device)

    def _key(self, entity: Tensor, relation: Tensor) -> Tensor:
        return entity * (2 * self._num_relations) + relation

    def __len__(self) -> int:
        return self._answers.num_keys

    def __repr__(self) -> str:
        return f"{type(self).__name__}(queries={len(self)}, answers={self._answers.num_values})"
