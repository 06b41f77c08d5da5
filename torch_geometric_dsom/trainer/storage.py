"""A directory of JSON and safetensors that is replaced as a whole, checked when it is read, and never holds pickle."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.version import __version__

FORMAT = "torch_geometric_dsom/trainer"
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
WRITERS = ("version", "torch", "python")  # whose versions are told
PAYLOADS = {"meta": ".json", "tensors": ".safetensors"}
OURS = tuple(f"{kind}-" for kind in (*PAYLOADS, MANIFEST))  # how names begin, but for the manifest's


def save_directory(directory: str | os.PathLike[str], meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """Writes a directory; what was saved there before is whole until the moment when the new save is.

    Payloads are written under names of their own and forced to the disk, then the manifest that names them takes the
    place of the older one in one step, then the older payloads go.

    Args:
        directory (path): Where to write; may be missing, empty or an older save.
        meta (dict): Anything that JSON can hold.
        tensors (dict[str, Tensor]): Any tensors.

    Returns:
        Path: The directory.

    Raises:
        CheckpointError: If the directory holds something else, or cannot be written.
    """
    target = Path(directory).absolute()
    if target.exists() and (not target.is_dir() or not _is_ours(target)):
        raise CheckpointError(
            f"{target}: expected a new directory or an older save, found something else; left as it was"
        )
    stamp, new = uuid.uuid4().hex[:12], not target.exists()
    paths = {kind: target / f"{kind}-{stamp}{suffix}" for kind, suffix in PAYLOADS.items()}
    fresh = target / f"{MANIFEST}-{stamp}"
    try:
        _make(target)
        try:
            save_file(_apart(tensors), paths["tensors"])
            paths["meta"].write_text(json.dumps(dict(meta), ensure_ascii=False), encoding="utf-8")
            manifest = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "version": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "files": {kind: {"name": path.name, "sha256": _sha256(path)} for kind, path in paths.items()},
            }
            fresh.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            for path in (*paths.values(), fresh, target):
                _to_disk(path)
            os.replace(fresh, target / MANIFEST)
        except BaseException:
            for path in (*paths.values(), fresh):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            if new:
                with contextlib.suppress(OSError):
                    target.rmdir()
            raise
        _to_disk(target)
        for path in target.iterdir():
            if path.name.startswith(OURS) and path not in paths.values():
                path.unlink()
    except (OSError, SafetensorError) as error:
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
                f"{source / MANIFEST}: expected format version {FORMAT_VERSION}, got {manifest['format_version']!r}"
            )
        for name in WRITERS:
            if not isinstance(manifest[name], str):
                raise CheckpointError(f"{source / MANIFEST}: expected a text as {name}, got {manifest[name]!r:.40}")
        paths = {kind: _whole(source, kind, manifest["files"][kind]) for kind in PAYLOADS}
        meta = json.loads(paths["meta"].read_text(encoding="utf-8"))
        return dict(meta), load_file(paths["tensors"])
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename}: not found; expected a directory made by save()") from error
    except (KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{source}: not a readable save: {error!r}") from error


def _whole(source: Path, kind: str, entry: Mapping[str, str]) -> Path:
    """The file of an entry of the manifest, checked."""
    name = entry["name"]
    if Path(name).name != name or not name.startswith(f"{kind}-") or Path(name).suffix != PAYLOADS[kind]:
        raise CheckpointError(f"{source / MANIFEST}: expected the name of a file of {kind}, got {name!r}")
    if (source / name).is_symlink():
        raise CheckpointError(f"{source / name}: expected a file, found a link")
    if _sha256(source / name) != entry["sha256"]:
        raise CheckpointError(f"{source / name}: damaged, its sha256 is not the one in the manifest")
    return source / name


def _is_ours(target: Path) -> bool:
    """Whether a directory holds a save, or nothing but what a save that was cut off leaves."""
    names = [path.name for path in target.iterdir()]
    return MANIFEST in names or all(name.startswith(OURS) for name in names)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On CPU, each with memory of its own, as the format wants them."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in tensors.items():
        plain = value.detach().cpu().contiguous()
        shared = plain.untyped_storage().data_ptr() in seen or plain.untyped_storage().nbytes() > plain.nbytes
        found[name] = plain.clone() if shared else plain
        seen.add(found[name].untyped_storage().data_ptr())
    return found


def _make(target: Path) -> None:
    """Makes a directory and those above it, and waits until their names are on the disk."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    target.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
