"""A graph written out as a folder that anyone can read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.features import write_features
from torch_geometric_dsom.errors import DataError

SPLITS = {"train": "", "valid": "val_", "test": "test_"}


def write_folder(data: Data, folder: str | os.PathLike[str]) -> Path:
    """Writes facts, texts and features of a graph; the folder is there whole or not at all.

    ``train.tsv``, ``valid.tsv`` and ``test.tsv`` hold facts by id, ``texts.tsv`` the texts where the graph has them,
    ``features/<modality>.npz`` the features ``x`` of the entities ``ids`` that have them.
    :class:`~torch_geometric_dsom.datasets.MMKGFolder` reads the same graph from it, entities and relations in the order
    in which facts show them.

    Args:
        data (Data): A graph in the data contract; numbers stand for ids where it has none.
        folder (str or Path): Must be new or empty.

    Returns:
        Path: The folder.

    Raises:
        DataError: If the folder holds something, an id or text holds a tab or a line end, or nothing can be written.

    Example:
        >>> import tempfile, torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=2, num_relations=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_folder(data, Path(folder, "out")).joinpath("train.tsv").read_text()
        '0\\t0\\t1\\n'
    """
    target = Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target}: expected a new or an empty folder, found something in it")
    files, features = _texts_of(data), _features_of(data)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            for name, text in files.items():
                (fresh / name).write_text(text, encoding="utf-8", newline="\n")
            for name, (x, ids) in features.items():
                write_features(fresh / "features" / f"{name}.npz", x, ids)
            if target.exists():
                target.rmdir()
            fresh.rename(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error})") from error
    return target


def _texts_of(data: Data) -> dict[str, str]:
    fields = data.to_dict()
    entities = _names(fields.get("entity_ids"), int(data.num_nodes), "entity_ids")
    relations = _names(fields.get("relation_ids"), int(data.num_relations), "relation_ids")
    files = {}
    for name, prefix in SPLITS.items():
        if f"{prefix}edge_index" in fields:
            rows = zip(*fields[f"{prefix}edge_index"].tolist(), fields[f"{prefix}edge_type"].tolist(), strict=True)
            files[f"{name}.tsv"] = "".join(f"{entities[h]}\t{relations[r]}\t{entities[t]}\n" for h, t, r in rows)
    if "entity_texts" in fields:
        texts = _names(fields["entity_texts"], int(data.num_nodes), "entity_texts", empty=True)
        shown = set(fields["edge_index"].flatten().tolist())
        for prefix in ("val_", "test_"):
            if f"{prefix}edge_index" in fields:
                shown |= set(fields[f"{prefix}edge_index"].flatten().tolist())
        lines = (f"{entities[i]}\t{text}\n" for i, text in enumerate(texts) if text and i in shown)
        files["texts.tsv"] = "".join(lines)
    return files


def _features_of(data: Data) -> dict[str, tuple[Tensor, list[str]]]:
    fields = data.to_dict()
    ids = _names(fields.get("entity_ids"), int(data.num_nodes), "entity_ids")
    found = {}
    for key, x in fields.items():
        name = key.removeprefix("x_")
        if key.startswith("x_") and f"{name}_mask" in fields:
            rows = fields[f"{name}_mask"].nonzero().flatten()
            found[name] = (x[rows], [ids[row] for row in rows.tolist()])
    return found


def _names(names: list[str] | None, size: int, what: str, empty: bool = False) -> list[str]:
    if names is None:
        return [str(number) for number in range(size)]
    for number, name in enumerate(names):
        if any(mark in name for mark in "\t\n\r") or (not empty and not name.strip()):
            raise DataError(f"data.{what}[{number}]: expected a name without tab and line end, got {name!r}")
    return list(names)
