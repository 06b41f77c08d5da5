"""Graphs in the data contract and PyKEEN's triples factories, one from the other."""

from __future__ import annotations

import torch
from pykeen.triples import CoreTriplesFactory, TriplesFactory
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import split_triples
from torch_geometric_dsom.data.triples import graph_sizes
from torch_geometric_dsom.errors import DataError


def to_triples_factory(data: Data, split: str = "train", create_inverse_triples: bool = False) -> CoreTriplesFactory:
    """The facts of a split as a triples factory with the graph's own numbers.

    Args:
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"train"`)
        create_inverse_triples (bool): Whether models are to have inverse relations. (default: :obj:`False`)

    Returns:
        CoreTriplesFactory: A ``TriplesFactory`` with ids where the graph has them.

    Raises:
        DataError: If the split has no facts.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=2)
        >>> to_triples_factory(data).mapped_triples.tolist()
        [[0, 0, 1]]
    """
    triples = split_triples(data, split)
    if triples.size(0) == 0:
        raise DataError(f"data: expected facts in the split '{split}', got none")
    num_entities, num_relations = graph_sizes(data)
    options = {"num_entities": num_entities, "num_relations": num_relations}
    entities, relations = data.to_dict().get("entity_ids"), data.to_dict().get("relation_ids")
    named = all(ids is not None and len(set(ids)) == len(ids) for ids in (entities, relations))
    if entities is None or relations is None or not named:
        return CoreTriplesFactory(triples.cpu(), create_inverse_triples=create_inverse_triples, **options)
    return TriplesFactory(
        triples.cpu(),
        entity_to_id={name: number for number, name in enumerate(entities)},
        relation_to_id={name: number for number, name in enumerate(relations)},
        create_inverse_triples=create_inverse_triples,
        **options,
    )


def from_triples_factory(
    training: CoreTriplesFactory,
    validation: CoreTriplesFactory | None = None,
    testing: CoreTriplesFactory | None = None,
) -> Data:
    """A graph in the data contract from PyKEEN's factories; it has no modalities yet.

    Args:
        training (CoreTriplesFactory): Training facts.
        validation (CoreTriplesFactory, optional): Validation facts, numbered alike.
        testing (CoreTriplesFactory, optional): Test facts, numbered alike.

    Returns:
        Data: With ids and labels where the factory has them.

    Raises:
        DataError: If the factories do not number the same entities and relations.

    Example:
        >>> import torch
        >>> from pykeen.triples import CoreTriplesFactory
        >>> triples = CoreTriplesFactory(torch.tensor([[0, 1, 2]]), num_entities=3, num_relations=2)
        >>> from_triples_factory(triples).edge_type
        tensor([1])
    """
    sizes = (int(training.num_entities), int(training.real_num_relations))
    data = Data(num_nodes=sizes[0])
    data.num_relations = sizes[1]
    for prefix, part, name in (("", training, ""), ("val_", validation, "validation"), ("test_", testing, "testing")):
        if part is None:
            continue
        came = (int(part.num_entities), int(part.real_num_relations))
        if came != sizes:
            raise DataError(f"{name}: expected {sizes[0]} entities and {sizes[1]} relations as in training, got {came}")
        triples: Tensor = part.mapped_triples
        data[f"{prefix}edge_index"] = torch.stack([triples[:, 0], triples[:, 2]]).long()
        data[f"{prefix}edge_type"] = triples[:, 1].long()
    if isinstance(training, TriplesFactory):
        for kind, ids in (("entity", training.entity_id_to_label), ("relation", training.relation_id_to_label)):
            names = [str(ids[number]) for number in range(sizes[kind == "relation"])]
            data[f"{kind}_ids"] = names
            data[f"{kind}_labels"] = list(names)
    return data
