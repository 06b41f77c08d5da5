"""A processed graph as one file: tensors and JSON in safetensors, without pickle, published by a rename, with a sum."""

from __future__ import annotations

import json
import os
import uuid
import zlib
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.errors import DataError


def save_data(data: Data, path: Path, key: str) -> None:
    """Writes a graph to a file, which is there whole or not at all.

    Args:
        data (Data): A graph whose attributes are dense tensors, numbers, strings, or lists of the last two.
        path (Path): The file; its folder is made where it is missing.
        key (str): What the graph was made from; :func:`load_data` asks for the same.

    Raises:
        DataError: If an attribute cannot be written.
        OSError: If the file cannot be written.
    """
    if type(data) is not Data:
        raise DataError(f"data: expected a torch_geometric.data.Data, got {type(data).__name__}")
    tensors: dict[str, Tensor] = {}
    others: dict[str, object] = {}
    for name, value in data.to_dict().items():
        if isinstance(value, Tensor) and value.layout is torch.strided:
            tensors[name] = value.detach().cpu().contiguous().clone()  # clone: safetensors refuses shared memory
        else:
            others[name] = value
    text = _to_json(key, list(data.to_dict()), others)
    content = safetensors.torch.save(tensors, {"graph": f"{_checksum(tensors, text)} {text}"})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_data(path: Path, key: str) -> Data | None:
    """Reads a graph that :func:`save_data` wrote.

    Args:
        path (Path): The file.
        key (str): What the graph must have been made from.

    Returns:
        Data or None: The graph; :obj:`None` where the file is missing, damaged, or made from something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_data(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2), Path(folder, "a"), key="v1")
        ...     load_data(Path(folder, "a"), key="v1"), load_data(Path(folder, "a"), key="v2")
        (Data(edge_index=[2, 1], num_nodes=2), None)
    """
    try:
        with safe_open(path, framework="pt") as file:
            graph = (file.metadata() or {}).get("graph", "")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    total, _, text = graph.partition(" ")
    if total != _checksum(tensors, text):
        return None
    content = json.loads(text)
    if content["key"] != key:
        return None
    data = Data()
    for name in content["names"]:
        setattr(data, name, tensors[name] if name in tensors else content["others"][name])
    return data


def _to_json(key: str, names: list[str], others: dict[str, object]) -> str:
    for name, value in others.items():
        if not _is_plain(value):
            raise DataError(
                f"data.{name}: expected a dense tensor, a number, a string or lists of those, "
                f"got {type(value).__name__}"
            )
    return json.dumps({"key": key, "names": names, "others": others})


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    total = zlib.crc32(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        total = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), total)
        flat = value.reshape(-1)
        flat = flat.as_strided(flat.shape, (1,))  # a single value may have any stride, which a view as bytes refuses
        total = zlib.crc32(flat.view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
