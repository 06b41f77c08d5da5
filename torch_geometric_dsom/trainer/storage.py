"""Saved students, teachers and agents: JSON and safetensors in one directory, published as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.version import __version__

FORMAT = "torch_geometric_dsom/trainer"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"


def save_directory(directory: str | os.PathLike[str], meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """Writes a directory that is complete or not there at all; an older save in its place is replaced.

    Args:
        directory (path): Where to write; may be missing, empty or an older save.
        meta (dict): Anything that JSON can hold.
        tensors (dict[str, Tensor]): What goes into ``tensors.safetensors``.

    Returns:
        Path: The directory.

    Raises:
        CheckpointError: If the directory holds something else, or cannot be written.
    """
    target = Path(directory).absolute()
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).is_file())):
        raise CheckpointError(
            f"{target}: expected a new directory or an older save, found something else; left as it was"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            save_file(
                {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
                fresh / "tensors.safetensors",
            )
            manifest = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "version": __version__,
                "sha256": {"tensors.safetensors": _sha256(fresh / "tensors.safetensors")},
                "meta": dict(meta),
            }
            (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
            if target.exists():
                os.replace(target, Path(scratch) / "old")
            os.replace(fresh, target)
    except OSError as error:
        raise CheckpointError(f"{target}: could not be written: {error}") from error
    return target


def load_directory(directory: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads what :func:`save_directory` wrote, and checks that it is whole.

    Args:
        directory (path): A saved directory.

    Returns:
        tuple[dict, dict[str, Tensor]]: Meta and tensors.

    Raises:
        CheckpointError: If it is missing, foreign, newer than this version can read, or damaged.
    """
    source = Path(directory)
    try:
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise CheckpointError(f"{source / MANIFEST}: expected format '{FORMAT}', found something else")
        if manifest["format_version"] != FORMAT_VERSION:
            raise CheckpointError(
                f"{source / MANIFEST}: expected format version {FORMAT_VERSION}, got {manifest['format_version']}"
            )
        for name, expected in manifest["sha256"].items():
            if Path(name).name != name:
                raise CheckpointError(f"{source / MANIFEST}: expected a file name, got '{name}'")
            if _sha256(source / name) != expected:
                raise CheckpointError(f"{source / name}: damaged, its sha256 is not the one in the manifest")
        return dict(manifest["meta"]), load_file(source / "tensors.safetensors")
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename}: not found; expected a directory made by save()") from error
    except (KeyError, TypeError, AttributeError, ValueError, OSError, SafetensorError) as error:
        raise CheckpointError(f"{source}: not a readable save: {error!r}") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
