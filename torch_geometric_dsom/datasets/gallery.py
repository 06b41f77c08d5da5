"""Pictures of the entities of a graph, by row: what a page shows of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.emoji_world import EmojiWorld, package_pictures
from torch_geometric_dsom.datasets.pictures import find_pictures, read_picture


class Gallery:
    """The first picture of each entity that has one, read when it is asked for.

    Args:
        pictures (dict): From row to what gives the bytes of the picture's file. (default: :obj:`None`, no pictures)

    Example:
        >>> from torch_geometric_dsom.datasets import EmojiWorld, Gallery
        >>> gallery = Gallery.of("EmojiWorld", EmojiWorld()[0])
        >>> gallery.image(0).size, len(gallery)
        ((64, 64), 1894)
    """

    def __init__(self, pictures: dict[int, Callable[[], bytes]] | None = None) -> None:
        self._pictures = {} if pictures is None else pictures

    @classmethod
    def of(cls, name: str, data: Data) -> Gallery:
        """The pictures of a dataset that is given by its name, or that lies in a folder.

        Args:
            name (str): Name of the dataset's class, or a folder.
            data (Data): Its graph.

        Returns:
            Gallery: Without any picture where the dataset has none, such as the benchmark graphs.

        Raises:
            DataError: If the pictures of a folder lead out of it.
        """
        if name == EmojiWorld.__name__:
            return cls({row: _constant(content) for row, content in package_pictures().items()})
        if not Path(name).is_dir():
            return cls()
        rows = {label: row for row, label in enumerate(data.entity_ids)}
        names = {quote(label, safe=" "): row for label, row in rows.items()} | rows
        found: dict[int, Callable[[], bytes]] = {}
        for picture in find_pictures(Path(name).expanduser().resolve()):
            if picture.entity in names:
                found.setdefault(names[picture.entity], picture.read)
        return cls(found)

    def image(self, row: int) -> Image.Image | None:
        """The picture of an entity as RGBA; :obj:`None` where it has none that can be read."""
        read = self._pictures.get(row)
        return None if read is None else read_picture(read())

    def png(self, row: int, size: int = 96) -> bytes | None:
        """The picture of an entity as a small PNG file.

        Args:
            row (int): Row of the entity.
            size (int): Pixels of the longer side at most. (default: :obj:`96`)

        Returns:
            bytes or None: The file; :obj:`None` where there is no picture that can be read.
        """
        image = self.image(row)
        if image is None:
            return None
        image.thumbnail((size, size))
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
        return out.getvalue()

    def __len__(self) -> int:
        return len(self._pictures)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)})"


def _constant(content: bytes) -> Callable[[], bytes]:
    return lambda: content
