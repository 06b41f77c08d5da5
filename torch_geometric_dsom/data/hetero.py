"""Graphs in the data contract as PyG's heterogeneous graphs, and back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.data.triples import SPLITS, graph_sizes
from torch_geometric_dsom.errors import DataError

ENTITY = "entity"
PREFIXES = tuple(dict.fromkeys(SPLITS.values()))


def to_hetero(data: Data) -> HeteroData:
    """One node type ``entity``, and an edge type for each relation, named by its id.

    Features and masks stand at the nodes, held-out facts beside the training facts of their relation as
    ``val_edge_index`` and ``test_edge_index``.

    Args:
        data (Data): A graph in the data contract.

    Returns:
        HeteroData: It shares features with the graph.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), edge_type=torch.tensor([0, 1]), num_nodes=2)
        >>> data.num_relations = 2
        >>> to_hetero(data).edge_types
        [('entity', '0', 'entity'), ('entity', '1', 'entity')]
    """
    num_entities, num_relations = graph_sizes(data)
    fields = data.to_dict()
    hetero = HeteroData()
    hetero[ENTITY].num_nodes = num_entities
    for name in modalities(data):
        hetero[ENTITY][f"x_{name}"], hetero[ENTITY][f"{name}_mask"] = data[f"x_{name}"], data[f"{name}_mask"]
    for name in ("entity_ids", "entity_labels", "relation_labels"):
        if name in fields:
            hetero[name] = list(fields[name])
    names = [str(name) for name in fields.get("relation_ids") or range(num_relations)]
    for number, name in enumerate(names):
        for prefix in PREFIXES:
            if f"{prefix}edge_index" in fields:
                chosen = data[f"{prefix}edge_type"] == number
                hetero[ENTITY, name, ENTITY][f"{prefix}edge_index"] = data[f"{prefix}edge_index"][:, chosen]
    return hetero


def from_hetero(hetero: HeteroData) -> Data:
    """A graph in the data contract from a heterogeneous one, of any number of node types.

    Entities of all types follow each other in the order of the types; their ids are kept where the graph came from
    :func:`to_hetero`, else they are ``type/number``. A relation is an edge type; its name is the middle one where that
    is unique, else the whole type. Features ``x`` or ``x_<name>`` of a type become modalities, ``x`` one named
    ``feature``; entities of other types are masked. Facts are ordered by relation.

    Args:
        hetero (HeteroData): With ``edge_index`` at its edge types.

    Returns:
        Data: A graph in the data contract.

    Raises:
        DataError: If there is no edge type, or features of one name have different widths.

    Example:
        >>> hetero = HeteroData()
        >>> hetero["person"].num_nodes, hetero["city"].num_nodes = 2, 1
        >>> hetero["person", "lives_in", "city"].edge_index = torch.tensor([[0, 1], [0, 0]])
        >>> data = from_hetero(hetero)
        >>> data.entity_ids, data.edge_index.tolist()
        (['person/0', 'person/1', 'city/0'], [[0, 1], [2, 2]])
    """
    if not hetero.edge_types:
        raise DataError("hetero: expected at least one edge type, got none")
    sizes = {kind: int(hetero[kind].num_nodes) for kind in hetero.node_types}
    offset, total = {}, 0
    for kind, size in sizes.items():
        offset[kind], total = total, total + size
    data = Data(num_nodes=total)
    data.num_relations = len(hetero.edge_types)
    for prefix in PREFIXES:
        parts = [_edges(hetero, number, kind, prefix, offset) for number, kind in enumerate(hetero.edge_types)]
        if prefix == "" or any(part.size(1) > 0 for part in parts):
            facts = torch.cat(parts, dim=1)
            data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = facts[:2].contiguous(), facts[2].contiguous()
    _add_features(data, hetero, sizes, offset)
    fields = hetero.to_dict().get("_global_store", {})
    own = list(sizes) == [ENTITY] and "entity_ids" in fields
    data.entity_ids = (
        list(fields["entity_ids"]) if own else [f"{kind}/{i}" for kind, size in sizes.items() for i in range(size)]
    )
    data.entity_labels = list(fields["entity_labels"]) if own and "entity_labels" in fields else list(data.entity_ids)
    middles = [name for _, name, _ in hetero.edge_types]
    unique = len(set(middles)) == len(middles)
    data.relation_ids = middles if unique else [" ".join(kind) for kind in hetero.edge_types]
    labels = fields.get("relation_labels")
    data.relation_labels = list(labels) if labels is not None else list(data.relation_ids)
    return data


def _edges(hetero: HeteroData, number: int, kind: tuple[str, str, str], prefix: str, offset: dict[str, int]) -> Tensor:
    """Facts of an edge type as rows head, tail, relation, ``[3, E]``."""
    store = hetero[kind]
    if f"{prefix}edge_index" not in store:
        return torch.empty(3, 0, dtype=torch.long)
    head, tail = store[f"{prefix}edge_index"]
    return torch.stack([head + offset[kind[0]], tail + offset[kind[2]], torch.full_like(head, number)])


def _add_features(data: Data, hetero: HeteroData, sizes: dict[str, int], offset: dict[str, int]) -> None:
    total = int(data.num_nodes)
    for kind, size in sizes.items():
        rows = torch.arange(offset[kind], offset[kind] + size)
        for key, x in hetero[kind].items():
            if key != "x" and not key.startswith("x_"):
                continue
            name = "feature" if key == "x" else key.removeprefix("x_")
            if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() != 2:
                raise DataError(f"hetero['{kind}'].{key}: expected a matrix of floats, got {type(x).__name__}")
            if f"x_{name}" not in data:
                data[f"x_{name}"] = torch.zeros(total, x.size(1), dtype=x.dtype)
                data[f"{name}_mask"] = torch.zeros(total, dtype=torch.bool)
            if data[f"x_{name}"].size(1) != x.size(1):
                expected = data[f"x_{name}"].size(1)
                raise DataError(f"hetero['{kind}'].{key}: expected {expected} columns as elsewhere, got {x.size(1)}")
            data[f"x_{name}"][rows] = x
            mask = hetero[kind].get(f"{name}_mask") if f"{name}_mask" in hetero[kind] else None
            data[f"{name}_mask"][rows] = torch.ones(size, dtype=torch.bool) if mask is None else mask
