"""The data contract, as the list of what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.modalities import modalities

SPLITS = {"train": "", "val": "val_", "test": "test_"}
CHUNK = 1 << 16  # rows of features that are looked at together
_NODE_SPLITS = {"train_mask", "val_mask", "test_mask"}  # PyG's masks of node classification, no modality


def violations(data: Data) -> Iterator[str]:
    """Tells, one by one, what makes it impossible to train on a graph or to evaluate with it.

    The training facts and both sizes are required; held-out facts, modalities and labels may be absent, but must be
    sound where they are there.

    Args:
        data (Data): The graph.

    Yields:
        str: The attribute, what was expected and what came.

    Example:
        >>> next(violations(Data(num_nodes=2)))
        'data.num_relations: expected an attribute, found none'
    """
    if not isinstance(data, Data):
        yield f"data: expected a torch_geometric.data.Data, got {type(data).__name__}"
        return
    required = ("num_nodes", "num_relations", "edge_index", "edge_type")
    missing = [name for name in required if name not in data]
    yield from (f"data.{name}: expected an attribute, found none" for name in missing)
    sizes = ("num_nodes", "num_relations")
    unsized = [name for name in sizes if name not in missing and not _is_positive(data[name])]
    yield from (f"data.{name}: expected a positive int, got {data[name]!r}" for name in unsized)
    if missing or unsized:
        return
    for prefix in SPLITS.values():
        yield from _fact_violations(data, prefix)
    if isinstance(data.edge_index, Tensor) and data.edge_index.dim() == 2 and data.edge_index.size(1) == 0:
        yield "data.edge_index: expected at least one training fact, got none"
    names = modalities(data)
    for name in names:
        yield from _modality_violations(data, name)
    for key in data.to_dict():
        if key.endswith("_mask") and key not in _NODE_SPLITS and key.removesuffix("_mask") not in names:
            yield f"data.{key}: expected features x_{key.removesuffix('_mask')} beside the mask, found none"
    for name, size in (("entity", data.num_nodes), ("relation", data.num_relations)):
        for key in (f"{name}_ids", f"{name}_labels"):
            yield from _label_violations(data, key, size)


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _fact_violations(data: Data, prefix: str) -> Iterator[str]:
    names = (f"{prefix}edge_index", f"{prefix}edge_type")
    there = [name for name in names if name in data]
    if len(there) == 1:
        other = names[1 - names.index(there[0])]
        yield f"data.{other}: expected an attribute beside {there[0]}, found none"
    if len(there) < 2:
        return
    sound = True
    for name, dims, shape in zip(names, (2, 1), ("[2, E]", "[E]"), strict=True):
        value = data[name]
        came = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        if not isinstance(value, Tensor) or value.dtype != torch.int64:
            yield f"data.{name}: expected an int64 tensor {shape}, got {came}"
            sound = False
        elif value.dim() != dims or (dims == 2 and value.size(0) != 2):
            yield f"data.{name}: expected the shape {shape}, got {list(value.shape)}"
            sound = False
    if not sound:
        return
    edge_index, edge_type = data[names[0]], data[names[1]]
    if edge_index.size(1) != edge_type.size(0):
        yield f"data.{names[1]}: expected {edge_index.size(1)} relations as in {names[0]}, got {edge_type.size(0)}"
    for name, value, what, size in (
        (names[0], edge_index, "an entity", data.num_nodes),
        (names[1], edge_type, "a relation", data.num_relations),
    ):
        bad = ((value < 0) | (value >= size)).nonzero()
        if bad.size(0) > 0:
            where = bad[0].tolist()
            yield f"data.{name}{where}: expected {what} in [0, {size}), got {int(value[tuple(where)])}"


def _modality_violations(data: Data, name: str) -> Iterator[str]:
    size, x, key = data.num_nodes, data[f"x_{name}"], f"{name}_mask"
    if not isinstance(x, Tensor) or not x.is_floating_point():
        came = x.dtype if isinstance(x, Tensor) else type(x).__name__
        yield f"data.x_{name}: expected a floating point tensor [{size}, D], got {came}"
    elif x.dim() != 2 or x.size(0) != size or x.size(1) == 0:
        yield f"data.x_{name}: expected the shape [{size}, D], a row an entity, got {list(x.shape)}"
    elif (row := _first_bad_row(x)) is not None:
        yield f"data.x_{name}[{row}]: expected finite features, got NaN or infinity"
    if key not in data:
        yield f"data.{key}: expected a mask beside x_{name}, found none"
        return
    mask = data[key]
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        came = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        yield f"data.{key}: expected a bool tensor [{size}], got {came}"
    elif list(mask.shape) != [size]:
        yield f"data.{key}: expected the shape [{size}], got {list(mask.shape)}"


def _first_bad_row(x: Tensor) -> int | None:
    """The first row with a value that is not finite; features may be larger than memory, so some rows at a time."""
    for number, part in enumerate(x.split(CHUNK)):
        bad = ~part.isfinite().all(dim=1)
        if bool(bad.any()):
            return number * CHUNK + int(bad.nonzero()[0, 0])
    return None


def _label_violations(data: Data, key: str, size: int) -> Iterator[str]:
    if key not in data:
        return
    labels = data[key]
    if not isinstance(labels, list):
        yield f"data.{key}: expected a list of {size} str, got {type(labels).__name__}"
        return
    if len(labels) != size:
        yield f"data.{key}: expected {size} str, got {len(labels)}"
    other = next((i for i, label in enumerate(labels) if not isinstance(label, str)), None)
    if other is not None:
        yield f"data.{key}[{other}]: expected a str, got {labels[other]!r}"
