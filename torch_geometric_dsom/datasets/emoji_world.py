"""EmojiWorld: a small multimodal graph, pictures and texts included, that comes with the package."""

from __future__ import annotations

import copy
import functools
import importlib.resources
import io
import operator
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import MMKGDataset
from torch_geometric_dsom.datasets.encode import content_key, encode
from torch_geometric_dsom.datasets.encoded import ImageEncoder, TextEncoder, spread
from torch_geometric_dsom.datasets.pictures import read_picture
from torch_geometric_dsom.datasets.tables import read_columns, read_triples
from torch_geometric_dsom.encoders import make_encoder
from torch_geometric_dsom.errors import ConfigError


class EmojiWorld(MMKGDataset):
    """Emoji, territories, languages, currencies and word senses, with pictures and texts; no download is needed.

    Made from the Unicode CLDR, emojibase, WordNet, Natural Earth and Noto Emoji (licences: ``NOTICE``). Image features
    are those of :class:`~torch_geometric_dsom.encoders.EfficientNetLite0`, text features those of
    :class:`~torch_geometric_dsom.encoders.MiniLM`; :meth:`reencode` puts others in their place. The random 80/10/10
    split keeps every entity in training; ``split='clean'`` and ``split='official'`` are the same.

    ========== =========== ====================== ======== ========
    Entities   Relations   Facts                  Pictures Texts
    ========== =========== ====================== ======== ========
    4,010      21          8,903 / 1,114 / 1,114  1,894    4,010
    ========== =========== ====================== ======== ========

    Beside the data contract, a graph has ``entity_kinds`` (such as ``"emoji"``) and ``entity_texts`` (the very string
    that the text encoder sees: words and gloss of a word sense, the name of anything else), lists of str.

    Args:
        root (str or Path, optional): Folder for the processed graph.
            (default: :func:`~torch_geometric_dsom.datasets.default_root`)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)
        pre_transform (Callable, optional): Applied to the graph before it is kept. (default: :obj:`None`)
        force_reload (bool): Make the processed graph anew. (default: :obj:`False`)
        split (str): ``"clean"`` or ``"official"``. (default: :obj:`"clean"`)
        image_features (path or tuple, optional): File of published features of pictures, as
            :func:`~torch_geometric_dsom.datasets.attach_features` reads it, or that file and the ids of its rows.
            (default: :obj:`None`)
        text_features (path or tuple, optional): The same for texts. (default: :obj:`None`)

    Raises:
        ConfigError: If ``split`` is unknown.

    Example:
        >>> dataset = EmojiWorld()
        >>> data = dataset[0]
        >>> data.num_nodes, data.num_relations, data.edge_index.shape
        (4010, 21, torch.Size([2, 8903]))
        >>> data.entity_labels[0], dataset.image(0).size
        ('grinning face', (64, 64))
    """

    def build(self) -> Data:
        """The graph, made from the files in the package.

        Returns:
            Data: A graph in the data contract.
        """
        rows = _entities()
        data = Data(num_nodes=len(rows))
        with _package_files() as folder:
            relations = read_columns(folder / "relations.tsv", ("id", "name"))
            data.num_relations = len(relations)
            for prefix, name in (("", "train"), ("val_", "valid"), ("test_", "test")):
                facts = read_triples(folder / f"{name}.tsv", len(rows), len(relations))
                data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = facts
            with np.load(folder / "features.npz", allow_pickle=False) as features:
                with_image = torch.from_numpy(features["noto_ids"]).long()
                image, text = torch.from_numpy(features["noto"]), torch.from_numpy(features["text"])
        data.x_image, data.image_mask = spread(image, with_image, len(rows))
        data.x_text, data.text_mask = spread(text, torch.arange(len(rows)), len(rows))
        data.entity_ids = [row[0] for row in rows]
        data.entity_labels = [row[1] for row in rows]
        data.entity_kinds = [row[3] for row in rows]
        data.entity_texts = [_text(row) for row in rows]
        data.relation_ids = [row[0] for row in relations]
        data.relation_labels = [row[1] for row in relations]
        return data

    def image(self, i: int) -> Image.Image | None:
        """The picture of an entity.

        Args:
            i (int): Entity, in ``[0, 4010)``.

        Returns:
            PIL.Image.Image or None: RGBA, 64 x 64 px; :obj:`None` where the entity has no picture.

        Raises:
            IndexError: If there is no such entity.
        """
        picture = package_pictures().get(_row(i))
        return None if picture is None else Image.open(io.BytesIO(picture)).convert("RGBA")

    def text(self, i: int) -> str:
        """The text of an entity, as the text encoder sees it.

        Args:
            i (int): Entity, in ``[0, 4010)``.

        Returns:
            str: Words and gloss of a word sense, the name of anything else.

        Raises:
            IndexError: If there is no such entity.
        """
        return _text(_entities()[_row(i)])

    def reencode(
        self,
        image_encoder: ImageEncoder | str | None = None,
        text_encoder: TextEncoder | str | None = None,
        threads: int | None = None,
    ) -> Data:
        """The graph with features computed anew from the pictures and texts; the processed graph stays as it is.

        What an encoder gave is kept, unless its :func:`repr` holds an address: an interrupted run goes on where it was.

        Args:
            image_encoder (Callable or str, optional): From a list of ``n`` RGBA pictures to a tensor ``[n, D]``, or a
                name that :func:`~torch_geometric_dsom.encoders.encoder_name` knows.
                (default: :obj:`None`, image features stay)
            text_encoder (Callable or str, optional): From a list of ``n`` strings to a tensor ``[n, D]``, or a name.
                (default: :obj:`None`, text features stay)
            threads (int, optional): Threads that torch may use meanwhile. (default: :obj:`None`, as set)

        Returns:
            Data: A graph in the data contract, ``transform`` applied.

        Raises:
            ConfigError: If no encoder is given.
            DataError: If an encoder returns anything but a finite tensor ``[n, D]``.

        Example:
            >>> data = EmojiWorld().reencode(text_encoder=lambda texts: torch.tensor([[float(len(t))] for t in texts]))
            >>> data.x_text[0]  # 'grinning face'
            tensor([13.])
        """
        if image_encoder is None and text_encoder is None:
            raise ConfigError("image_encoder, text_encoder: expected at least one of them, got None for both")
        data, size = copy.copy(self._data), len(_entities())
        if image_encoder is not None:
            rows = [i for i in range(size) if i in package_pictures()]
            self._reencode(
                data, "image", image_encoder, rows, [package_pictures()[i] for i in rows], read_picture, threads
            )
        if text_encoder is not None:
            rows = list(range(size))
            self._reencode(data, "text", text_encoder, rows, [self.text(i) for i in rows], str, threads)
        return data if self.transform is None else self.transform(data)

    def _reencode(
        self,
        data: Data,
        modality: str,
        encoder: ImageEncoder | TextEncoder | str,
        rows: list[int],
        contents: list[Any],
        read: Callable[[Any], Any],
        threads: int | None,
    ) -> None:
        made, name = make_encoder(modality, encoder), f"{modality}_encoder"
        if made is None:
            del data[f"x_{modality}"], data[f"{modality}_mask"]
            return
        keys = [content_key(content) for content in contents]
        x, _ = encode(keys, lambda i: read(contents[i]), made, name, self._kept, threads=threads)
        data[f"x_{modality}"], data[f"{modality}_mask"] = spread(x, torch.tensor(rows), int(data.num_nodes))


@contextmanager
def _package_files() -> Iterator[Path]:
    folder = importlib.resources.files("torch_geometric_dsom.datasets") / "files" / "emoji_world"
    with importlib.resources.as_file(folder) as path:
        yield path


@functools.cache
def _entities() -> list[tuple[str, ...]]:
    with _package_files() as folder:
        return read_columns(folder / "entities.tsv", ("id", "name", "words and gloss", "kind"))


@functools.cache
def package_pictures() -> dict[int, bytes]:
    """All pictures as PNG, 7 MB: bytes, unlike an open archive, can be shared among worker processes."""
    with _package_files() as folder, zipfile.ZipFile(folder / "noto64.zip") as archive:
        return {int(name.removesuffix(".png")): archive.read(name) for name in archive.namelist()}


def _text(row: tuple[str, ...]) -> str:
    return row[2] or row[1]


def _row(i: int) -> int:
    row, size = operator.index(i), len(_entities())
    if not 0 <= row < size:
        raise IndexError(f"i: expected an entity in [0, {size}), got {row}")
    return row
