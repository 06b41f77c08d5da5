"""The facts that are ranked, in batches of queries, each query asked once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.known_answers import KnownAnswers
from torch_geometric_dsom.data.triples import check_triples, graph_sizes, split_triples
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import DataError


class FactBatch(NamedTuple):
    """Queries that are scored together, and the facts that ask them.

    Args:
        head (Tensor): Query entities, ``[Q]``, int64.
        relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
        fact (Tensor): Numbers of the facts, ``[M]``, int64.
        row (Tensor): Query of each fact, ``[M]``, int64.
        target (Tensor): Answer of each fact, ``[M]``, int64.
        known (tuple[Tensor, Tensor]): Query and entity of each known answer, ``[nnz]`` int64 each.
    """

    head: Tensor
    relation: Tensor
    fact: Tensor
    row: Tensor
    target: Tensor
    known: tuple[Tensor, Tensor]

    def to(self, device: torch.device) -> FactBatch:
        """The same with all but the numbers of the facts on a device."""
        head, relation, row, target = (x.to(device) for x in (self.head, self.relation, self.row, self.target))
        row_of_known, entity = self.known
        return FactBatch(head, relation, self.fact, row, target, (row_of_known.to(device), entity.to(device)))


def facts_to_rank(data: Data, split: str, known: KnownAnswers | None = None) -> tuple[Tensor, KnownAnswers]:
    """The facts of a split, and what their ranks leave out.

    Args:
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``.
        known (KnownAnswers, optional): What is left out; the facts of all splits if :obj:`None`.

    Raises:
        DataError: If the split is empty, or what is known is of a graph of other sizes.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=2, num_relations=1)
        >>> facts_to_rank(data, "train")[0]
        tensor([[0, 0, 1]])
    """
    sizes = graph_sizes(data)
    triples = split_triples(data, split)
    if triples.size(0) == 0:
        raise DataError(f"split: expected facts in data, found none in '{split}'")
    check_triples(triples, *sizes, name=f"data, split '{split}'")
    known = known if known is not None else KnownAnswers.from_data(data)
    if (known.num_entities, known.num_relations) != sizes:
        expected = f"{sizes[0]} entities and {sizes[1]} relations"
        raise DataError(f"known: expected {expected}, got {known.num_entities} and {known.num_relations}")
    return triples, known


def fact_batches(
    head: Tensor, relation: Tensor, target: Tensor, known: KnownAnswers, size: int, world: World = ALONE
) -> Iterator[FactBatch]:
    """Facts in batches; those with the same query are in one batch and share its row.

    Args:
        head (Tensor): Query entity of each fact, ``[M]``, int64.
        relation (Tensor): In :math:`[0, 2R)`, ``[M]``, int64.
        target (Tensor): Its answer, ``[M]``, int64.
        known (KnownAnswers): What is known.
        size (int): Queries of a batch.
        world (World): Processes that share the facts, whole batches: a product has the same bits wherever it is taken.
            (default: this one alone)

    Example:
        >>> import torch
        >>> known = KnownAnswers(torch.tensor([[0, 0, 1], [0, 0, 2]]), num_entities=3, num_relations=1)
        >>> batch = next(fact_batches(torch.tensor([0, 0]), torch.tensor([0, 0]), torch.tensor([1, 2]), known, size=4))
        >>> batch.head, batch.row, batch.target
        (tensor([0]), tensor([0, 0]), tensor([1, 2]))
    """
    span = 2 * known.num_relations
    query, row = (head * span + relation).unique(return_inverse=True)
    order = row.argsort(stable=True)
    edges = torch.arange(0, query.numel() + size, size, device=row.device)
    bounds = torch.searchsorted(row[order], edges).tolist()
    for number, batch in enumerate(query.split(size)):
        if number % world.size != world.rank:
            continue
        fact = order[bounds[number] : bounds[number + 1]]
        head, relation = batch // span, batch % span
        yield FactBatch(head, relation, fact, row[fact] - number * size, target[fact], known.rows(head, relation))
