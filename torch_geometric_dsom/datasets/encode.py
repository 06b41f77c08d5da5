"""Encoding all pictures or texts of a graph: in batches, with a bar, and never twice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch_geometric.data import Data
from tqdm import tqdm

from torch_geometric_dsom.datasets.encoded import checked
from torch_geometric_dsom.datasets.storage import load_data, save_data
from torch_geometric_dsom.errors import ConfigError

T = TypeVar("T")
BATCH = 64
KEEP_EVERY = 512  # items: what an interruption may cost


def encode(
    keys: Sequence[bytes],
    load: Callable[[int], T | None],
    encoder: Callable[[list[T]], Tensor],
    name: str = "encoder",
    cache: Path | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Features of many items, in batches.

    Equal items, by their keys, are encoded once. With a :obj:`cache`, what is done is kept every few hundred items, by
    encoder and key: an interrupted run goes on where it was, and an item that is known is not even loaded. An encoder
    whose :func:`repr` holds an address is not told from another one, and nothing of it is kept. A bar is shown where
    stderr is a terminal.

    Args:
        keys (Sequence[bytes]): What tells the content of each of ``n`` items, such as :func:`content_key` of it.
        load (Callable): From a position to the item; :obj:`None` where it cannot be read.
        encoder (Callable): From a list of ``b`` items to a tensor ``[b, D]``; any other result is an error.
        name (str): What errors and the bar call it. (default: :obj:`"encoder"`)
        cache (Path, optional): Folder for what is done. (default: :obj:`None`, nothing is kept)
        batch_size (int): Items in memory and encoded at once. (default: :obj:`64`)
        threads (int, optional): Threads that torch may use meanwhile. (default: :obj:`None`, as set)

    Returns:
        tuple[Tensor, Tensor]: Features ``[n, D]``, float32, zeros for items that cannot be read, and which could be
        read, ``[n]`` bool. ``D`` is 0 where none could.

    Raises:
        ConfigError: If ``batch_size`` or ``threads`` is below one.
        DataError: If the encoder gives anything but a finite tensor ``[b, D]``.

    Example:
        >>> texts = ["ada", "bob", "ada"]
        >>> lengths = lambda batch: torch.tensor([[float(len(text))] for text in batch])
        >>> encode([content_key(text) for text in texts], texts.__getitem__, lengths)
        (tensor([[3.],
                [3.],
                [3.]]), tensor([True, True, True]))
    """
    for what, value in (("batch_size", batch_size), ("threads", 1 if threads is None else threads)):
        if value < 1:
            raise ConfigError(f"{what}: expected a positive number, got {value}")
    told = repr(encoder)
    kept = None if cache is None or re.search(r" at 0x[0-9a-fA-F]+", told) else _Kept(cache, told)
    found: dict[bytes, Tensor] = {} if kept is None else kept.read(set(keys))
    missing = {key: place for place, key in enumerate(keys) if key not in found}  # equal items: the last one stands
    fresh: dict[bytes, Tensor] = {}
    with _limited(threads), tqdm(total=len(missing), desc=name, unit="item", disable=None) as bar:
        for batch in _batches(list(missing.items()), load, batch_size, bar):
            features = checked(encoder([item for _, item in batch]), len(batch), name)
            fresh.update({key: row.clone() for (key, _), row in zip(batch, features, strict=True)})
            if kept is not None and len(fresh) >= KEEP_EVERY:
                kept.write(fresh)
                found |= fresh
                fresh = {}
        if kept is not None and fresh:
            kept.write(fresh)
    return _in_order(keys, found | fresh)


def content_key(content: bytes | str) -> bytes:
    """Sum that tells a content from another one.

    Args:
        content (bytes or str): The content.

    Example:
        >>> content_key("a") == content_key(b"a") != content_key("b")
        True
    """
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()


class _Kept:
    """Features that were computed before, in files of a few hundred each; damaged files count as missing."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self.encoder = encoder
        self.folder = folder / hashlib.sha256(encoder.encode()).hexdigest()[:16]

    def read(self, wanted: set[bytes]) -> dict[bytes, Tensor]:
        found: dict[bytes, Tensor] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            part = load_data(path, self.encoder)
            if part is not None:
                keys = (bytes(row) for row in part.keys_.numpy())
                found.update({key: row for key, row in zip(keys, part.features, strict=True) if key in wanted})
        return found

    def write(self, features: dict[bytes, Tensor]) -> None:
        keys = torch.frombuffer(bytearray(b"".join(features)), dtype=torch.uint8).view(len(features), -1)
        name = hashlib.sha256(b"".join(features)).hexdigest()[:16]
        part = Data(keys_=keys, features=torch.stack(list(features.values())))
        save_data(part, self.folder / f"{name}.safetensors", self.encoder)


def _batches(
    items: list[tuple[bytes, int]], load: Callable[[int], T | None], size: int, bar: tqdm[None]
) -> Iterator[list[tuple[bytes, T]]]:
    batch: list[tuple[bytes, T]] = []
    for key, place in items:
        item = load(place)
        bar.update()
        if item is not None:
            batch.append((key, item))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _in_order(keys: Sequence[bytes], found: dict[bytes, Tensor]) -> tuple[Tensor, Tensor]:
    mask = torch.tensor([key in found for key in keys], dtype=torch.bool)
    width = next(iter(found.values())).numel() if found else 0
    features = torch.zeros(len(keys), width)
    if bool(mask.any()):
        features[mask] = torch.stack([found[key] for key in keys if key in found])
    return features, mask


@contextmanager
def _limited(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
