"""Published feature files, attached to a graph."""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.encoded import spread
from torch_geometric_dsom.datasets.tables import read_text
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.optional import require

MAX_BYTES = 1 << 36  # 64 GiB, unpacked; more is no matrix of features
KINDS = (".npy", ".npz", ".safetensors", ".pt", ".pth", ".h5", ".hdf5")


def attach_features(
    data: Data,
    modality: str,
    path: str | os.PathLike[str],
    ids: str | os.PathLike[str] | Sequence[str] | None = None,
    key: str | None = None,
) -> Data:
    """Gives a graph the features of a modality from a file.

    Args:
        data (Data): A graph in the data contract; it is changed and returned.
        modality (str): Name of the modality: the features become ``x_<modality>`` and ``<modality>_mask``.
        path (str or Path): A file that :func:`read_features` reads.
        ids (str or Path or Sequence[str], optional): Which entity each row is about, by id or label: a list, or a text
            file with a name a line. Without it, the names that the file itself carries are used, else row :math:`i` is
            entity :math:`i`, and there must be as many rows as entities.
        key (str, optional): Which array of the file.

    Returns:
        Data: The graph. Entities without a row are masked; a row about an entity that is not there is an error.

    Raises:
        ConfigError: If the name of the modality is no identifier.
        DataError: If the file cannot be read, or rows, names or values do not fit; the message says which.

    Example:
        >>> import tempfile, numpy
        >>> data = Data(num_nodes=3, entity_ids=["a", "b", "c"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     numpy.save(Path(folder, "f.npy"), numpy.ones((2, 4), dtype="float16"))
        ...     attach_features(data, "image", Path(folder, "f.npy"), ids=["c", "a"]).image_mask
        tensor([ True, False,  True])
    """
    if not modality.isidentifier():
        raise ConfigError(f"modality: expected a name such as 'image', got {modality!r}")
    features, names = read_features(path, key)
    names = names if ids is None else read_names(ids)
    size = int(data.num_nodes)
    if names is None:
        if features.size(0) != size:
            raise DataError(f"{path}: expected {size} rows, one an entity, got {features.size(0)}; give ids")
        rows = torch.arange(size)
    else:
        rows = _rows(data, names, features.size(0), path)
    data[f"x_{modality}"], data[f"{modality}_mask"] = spread(features, rows, size)
    return data


def read_features(path: str | os.PathLike[str], key: str | None = None) -> tuple[Tensor, list[str] | None]:
    """Reads a matrix of features; no pickle is ever executed.

    ``.npy``, ``.npz``, ``.safetensors``, ``.pt`` and ``.pth`` (tensors alone), ``.h5`` (needs the extra ``h5``). A file
    with several arrays wants a :obj:`key`; an array ``ids`` of strings beside the matrix, or a dictionary from entity
    to vector, tells what the rows are about.

    Args:
        path (str or Path): The file.
        key (str, optional): Which array of the file.

    Returns:
        tuple[Tensor, list[str] or None]: ``[n, D]`` float32, and the names of the rows where the file has them.

    Raises:
        DataError: If the file is missing, damaged, of another kind, or holds no finite matrix of numbers.
        ImportError: If the extra is not installed.

    Example:
        >>> import tempfile, numpy
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     numpy.savez(Path(folder, "f.npz"), x=numpy.ones((2, 3)), ids=numpy.array(["a", "b"]))
        ...     features, names = read_features(Path(folder, "f.npz"))
        >>> features.shape, names
        (torch.Size([2, 3]), ['a', 'b'])
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found none")
    if path.suffix not in KINDS:
        raise DataError(f"{path}: expected one of {list(KINDS)}, got '{path.suffix}'")
    names: list[str] | None = None
    content = _content(path)
    if isinstance(content, Mapping):
        ids = content.get("ids")
        if ids is not None and not isinstance(ids, Tensor):
            names = [str(name) for name in ids]
        matrices = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        vectors = bool(matrices) and len(matrices) == len(content) and all(v.dim() == 1 for v in matrices.values())
        if key is None and vectors:
            content, names = _stacked(matrices, path), list(matrices)
        else:
            content = _chosen({name: value for name, value in matrices.items() if value.dim() == 2}, key, path)
    elif key is not None:
        raise DataError(f"{path}: expected several arrays to choose '{key}' from, got one")
    return _matrix(content, path), names


def read_names(ids: str | os.PathLike[str] | Sequence[str]) -> list[str]:
    """Names of rows: a list as it is, or the lines of a text file.

    Args:
        ids (str or Path or Sequence[str]): The list or the file.

    Example:
        >>> read_names(["a", "b"])
        ['a', 'b']
    """
    if isinstance(ids, (str, os.PathLike)):
        return [line.strip() for line in read_text(ids).split("\n") if line.strip()]
    return list(ids)


def write_features(path: str | os.PathLike[str], features: Tensor, names: Sequence[str] | None = None) -> Path:
    """Writes features in the one format of this package; the file is there whole or not at all.

    A ``.npz`` archive without pickle: ``x``, ``[n, D]`` float32, and ``ids``, ``[n]`` strings, the entity of each row.

    Args:
        path (str or Path): The file, ``.npz``.
        features (Tensor): ``[n, D]``.
        names (Sequence[str], optional): Entity of each row. (default: :obj:`None`, no ``ids``: row :math:`i` is entity
            :math:`i`)

    Returns:
        Path: The file.

    Raises:
        DataError: If the name ends otherwise, rows and names do not fit, a value is not finite, or nothing can be
            written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_features(Path(folder, "image.npz"), torch.ones(2, 3), ["a", "b"])
        ...     read_features(path)[1]
        ['a', 'b']
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise DataError(f"{path}: expected a name that ends in .npz, got '{path.suffix}'")
    arrays: dict[str, Any] = {"x": _matrix(features, path).cpu().numpy()}
    if names is not None:
        if len(names) != features.size(0):
            raise DataError(f"{path}: expected a name for each of {features.size(0)} rows, got {len(names)}")
        arrays["ids"] = np.array(list(names), dtype=np.str_)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from error
    return path


def _content(path: Path) -> Any:
    """What is in a file: a tensor, or tensors and lists of strings by name."""
    try:
        if path.suffix == ".npy":
            return _tensor(np.load(path, allow_pickle=False))
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                _check_size(sum(member.file_size for member in archive.infolist()))
            with np.load(path, allow_pickle=False) as file:
                return {name: _tensor(file[name]) for name in file.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in (".h5", ".hdf5"):
            h5py = require("h5py", extra="h5", user="read_features")
            with h5py.File(path, "r") as file:
                parts = {name: part for name, part in file.items() if isinstance(part, h5py.Dataset)}
                _check_size(sum(part.nbytes for part in parts.values()))
                return {name: _tensor(part[()]) for name, part in parts.items()}
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise
    except Exception as error:  # each library raises its own; none may pass for a success
        reason = str(error).split("\n")[0][:200]
        raise DataError(f"{path}: cannot be read as {path.suffix} without running code ({reason})") from error


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes when unpacked, more than {MAX_BYTES}")


def _tensor(array: Any) -> Any:
    """Numbers as a tensor, strings as a list; anything else is refused by numpy."""
    array = np.asarray(array)
    if array.dtype.kind in "SU":
        return [value.decode() if isinstance(value, bytes) else str(value) for value in array.reshape(-1).tolist()]
    if array.dtype.kind == "O":
        return [value.decode() if isinstance(value, bytes) else str(value) for value in array.reshape(-1)]
    return torch.from_numpy(np.ascontiguousarray(array))


def _chosen(matrices: Mapping[str, Tensor], key: str | None, path: Path) -> Tensor:
    if key is None and len(matrices) != 1:
        raise DataError(f"{path}: expected a key, one of the matrices {sorted(matrices)}, got None")
    if key is not None and key not in matrices:
        raise DataError(f"{path}: expected one of the matrices {sorted(matrices)}, got '{key}'")
    return next(iter(matrices.values())) if key is None else matrices[key]


def _stacked(vectors: Mapping[str, Tensor], path: Path) -> Tensor:
    widths = {vector.numel() for vector in vectors.values()}
    if len(widths) > 1:
        raise DataError(f"{path}: expected vectors of one length, got {sorted(widths)}")
    return torch.stack(list(vectors.values()))


def _matrix(value: Any, path: Path) -> Tensor:
    if not isinstance(value, Tensor) or value.dim() != 2 or value.is_complex() or value.dtype == torch.bool:
        came = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise DataError(f"{path}: expected a matrix of real numbers [n, D], got {came}")
    if value.size(1) == 0:
        raise DataError(f"{path}: expected at least one column, got {list(value.shape)}")
    features = value.detach().float()
    bad = (~features.isfinite()).any(dim=1).nonzero().flatten()
    if bad.numel() > 0:
        where = f"{bad.numel()} rows, first {int(bad[0])}"
        raise DataError(f"{path}: expected finite features, got NaN or infinity in {where}")
    return features.contiguous()


def _rows(data: Data, names: Sequence[str], count: int, path: str | os.PathLike[str]) -> Tensor:
    if len(names) != count:
        raise DataError(f"{path}: expected a name for each of {count} rows, got {len(names)}")
    fields = data.to_dict()
    ids, labels = fields.get("entity_ids"), fields.get("entity_labels")
    for known in (ids, labels):
        if known is None:
            continue
        place = {name: number for number, name in enumerate(known)}
        unknown = [name for name in names if name not in place]
        if len(unknown) == len(names) and known is ids and labels is not None:
            continue  # perhaps they are labels
        if unknown:
            raise DataError(f"{path}: {len(unknown)} of {count} names are no entities here, first {unknown[0]!r}")
        if len(place) < len(known):
            raise DataError(f"{path}: expected ids, since labels are not unique in this graph")
        if len(set(names)) < count:
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise DataError(f"{path}: expected one row an entity, got a second one of {twice!r}")
        return torch.tensor([place[name] for name in names])
    raise DataError(f"{path}: expected a graph with entity_ids or entity_labels to find names in, got neither")
