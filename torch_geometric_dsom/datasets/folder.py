"""Anyone's own graph: a folder with facts, texts and pictures."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import torch
from PIL import Image
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import MMKGDataset, default_root
from torch_geometric_dsom.datasets.encoded import ImageEncoder, TextEncoder, checked, spread
from torch_geometric_dsom.datasets.from_triples import from_triples
from torch_geometric_dsom.datasets.tables import read_columns, read_text
from torch_geometric_dsom.errors import DataError

FORMATS = ("tsv", "csv", "nt")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
MAX_PIXELS = 64_000_000
BATCH = 64
_NT = re.compile(r"\s*<([^<>\s]+)>\s+<([^<>\s]+)>\s+(<([^<>\s]+)>|.+?)\s*\.\s*")


class MMKGFolder(MMKGDataset):
    """A graph in a folder of your own.

    ================================== =================================================================================
    File                               What
    ================================== =================================================================================
    ``train.tsv``, ``.csv`` or ``.nt`` facts: head, relation, tail by label, a line each; triples of RDF in ``.nt``,
                                       where facts with a literal are left out, with a warning that counts them
    ``valid.*``, ``test.*``            held-out facts; where they are missing they are drawn from training by the seed,
                                       such that training keeps every entity and relation
    ``texts.tsv``                      entity, text
    ``images/<entity>.*``              a picture: ``jpg``, ``png`` or ``webp``; the name is the entity's label, with the
                                       characters that a file name cannot hold as ``%2F`` and the like
    ``images/<entity>/*``              several pictures, whose features are averaged
    ================================== =================================================================================

    Only the facts are required. Where there are texts or pictures, an encoder makes features of them; an entity without
    any stays masked. A picture that cannot be read is left out, with a warning that counts them. Nothing outside the
    folder is read: links that lead out of it are refused.

    Args:
        folder (str or Path): The folder; it is only read.
        root (str or Path, optional): Folder for the processed graph.
            (default: :func:`~torch_geometric_dsom.datasets.default_root`, by the name of the folder)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)
        pre_transform (Callable, optional): Applied to the graph before it is kept. (default: :obj:`None`)
        force_reload (bool): Make the processed graph anew. (default: :obj:`False`)
        image_encoder (Callable, optional): From a list of ``n`` RGBA pictures to a tensor ``[n, D]``;
            :class:`~torch_geometric_dsom.encoders.EfficientNetLite0` if :obj:`None`.
        text_encoder (Callable, optional): From a list of ``n`` strings to a tensor ``[n, D]``;
            :class:`~torch_geometric_dsom.encoders.MiniLM` if :obj:`None`.
        shares (tuple[float, float]): Shares to draw for validation and test where they are missing.
            (default: :obj:`(0.1, 0.1)`)
        seed (int): Seed of that draw. (default: :obj:`0`)

    Raises:
        DataError: If facts or texts cannot be read, an entity of ``texts.tsv`` or ``images`` is in no fact, or an
            encoder gives something else than finite features.
        ImportError: If an encoder is needed and none is given or installed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from torch_geometric_dsom.datasets import MMKGFolder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "train.tsv").write_text("ada\\tknows\\tbob\\nbob\\tknows\\tada\\n", encoding="utf-8")
        ...     MMKGFolder(folder, root=Path(folder, "kept"), shares=(0, 0))[0].entity_labels
        ['ada', 'bob']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        force_reload: bool = False,
        image_encoder: ImageEncoder | None = None,
        text_encoder: TextEncoder | None = None,
        shares: tuple[float, float] = (0.1, 0.1),
        seed: int = 0,
    ) -> None:
        self.folder = Path(folder).expanduser().resolve()
        if not self.folder.is_dir():
            raise DataError(f"{folder}: expected a folder, found none")
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.shares = shares
        self.seed = seed
        if root is None:
            place = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            root = default_root("MMKGFolder") / f"{self.folder.name}-{place}"
        super().__init__(root, transform, pre_transform, force_reload)

    @property
    def recipe(self) -> str:
        """Everything that the processed graph depends on: sums of small files, sizes and times of pictures."""
        total = hashlib.sha256()
        for path in sorted(self._facts().values()) + [p for p in (self.folder / "texts.tsv",) if p.is_file()]:
            total.update(path.name.encode() + b"\0" + path.read_bytes())
        for path in self._pictures():
            stat = path.stat()
            total.update(f"{path.relative_to(self.folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        encoders = f"{self.image_encoder!r}, {self.text_encoder!r}"
        return f"{total.hexdigest()}, {encoders}, shares={self.shares}, seed={self.seed}"

    def build(self) -> Data:
        """The graph, made from the files of the folder.

        Returns:
            Data: A graph in the data contract.
        """
        parts = {name: list(read_facts(path)) for name, path in self._facts().items()}
        data = from_triples(parts["train"], parts.get("valid"), parts.get("test"), self.shares, self.seed)
        row = {label: number for number, label in enumerate(data.entity_ids)}
        self._add_texts(data, row)
        self._add_pictures(data, row)
        return data

    def _facts(self) -> dict[str, Path]:
        """The files of facts by split."""
        found = {}
        for split in ("train", "valid", "test"):
            paths = [path for kind in FORMATS if (path := self.folder / f"{split}.{kind}").is_file()]
            if len(paths) > 1:
                raise DataError(f"{self.folder}: expected one file of {split} facts, got {[p.name for p in paths]}")
            if paths:
                found[split] = _inside(paths[0], self.folder)
        if "train" not in found:
            raise DataError(f"{self.folder}: expected train.tsv, train.csv or train.nt, found none")
        return found

    def _add_texts(self, data: Data, row: dict[str, int]) -> None:
        path = self.folder / "texts.tsv"
        if not path.is_file():
            return
        texts: dict[int, str] = {}
        for entity, text in read_columns(_inside(path, self.folder), ("entity", "text")):
            if entity.strip() not in row:
                raise DataError(f"{path}: expected entities of the facts, got {entity!r}")
            if row[entity.strip()] in texts:
                raise DataError(f"{path}: expected one text an entity, got a second one of {entity!r}")
            if text.strip():
                texts[row[entity.strip()]] = text.strip()
        data.entity_texts = [texts.get(number, "") for number in range(int(data.num_nodes))]
        if texts:
            encoder = self.text_encoder if self.text_encoder is not None else _default_text_encoder()
            features = checked(encoder(list(texts.values())), len(texts), "text_encoder")
            data.x_text, data.text_mask = spread(features, torch.tensor(list(texts)), int(data.num_nodes))

    def _add_pictures(self, data: Data, row: dict[str, int]) -> None:
        """Features of all pictures, a batch at a time; those of one entity are averaged."""
        names = {quote(label, safe=" "): number for label, number in row.items()} | row
        owners, broken, batch, features = [], [], [], []
        encoder: ImageEncoder | None = None
        for path in self._pictures():
            inner = path.relative_to(self.folder / "images")
            name = inner.parts[0] if len(inner.parts) > 1 else inner.stem
            if name not in names:
                raise DataError(f"{path}: expected the name of an entity of the facts, got {name!r}")
            picture = read_picture(path)
            if picture is None:
                broken.append(path)
                continue
            owners.append(names[name])
            batch.append(picture)
            if len(batch) == BATCH:
                encoder = encoder or self.image_encoder or _default_image_encoder()
                features.append(checked(encoder(batch), len(batch), "image_encoder"))
                batch = []
        if broken:
            warnings.warn(
                f"{len(broken)} pictures cannot be read and are left out, the first is {broken[0]}", stacklevel=4
            )
        if batch:
            encoder = encoder or self.image_encoder or _default_image_encoder()
            features.append(checked(encoder(batch), len(batch), "image_encoder"))
        if not owners:
            return
        unique, place = torch.tensor(owners).unique(return_inverse=True)
        every = torch.cat(features)
        total = torch.zeros(len(unique), every.size(1)).index_add_(0, place, every)
        mean = total / torch.bincount(place).unsqueeze(-1)
        data.x_image, data.image_mask = spread(mean, unique, int(data.num_nodes))

    def _pictures(self) -> Iterator[Path]:
        """All pictures, in a fixed order."""
        folder = self.folder / "images"
        if not folder.is_dir():
            return
        for path in sorted(_inside(folder, self.folder).rglob("*")):
            if path.suffix.lower() in PICTURES and path.is_file():
                if len(path.relative_to(folder).parts) > 2:
                    raise DataError(f"{path}: expected images/<entity>.* or images/<entity>/*, got a deeper folder")
                yield _inside(path, self.folder)


def read_facts(path: Path) -> Iterator[tuple[str, str, str]]:
    """Facts by label from a ``.tsv``, ``.csv`` or ``.nt`` file.

    Args:
        path (Path): The file; UTF-8, with or without a byte order mark; blank lines are skipped. A first line that
            reads ``head, relation, tail`` is a header.

    Yields:
        tuple[str, str, str]: Head, relation and tail.

    Raises:
        DataError: If a line is no fact; names file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text('head,relation,tail\\n"Doe, Jane",knows,Bob\\n', encoding="utf-8")
        ...     list(read_facts(Path(folder, "a.csv")))
        [('Doe, Jane', 'knows', 'Bob')]
    """
    if path.suffix == ".nt":
        yield from _read_nt(path)
        return
    if path.suffix == ".csv":
        reader = csv.reader(io.StringIO(read_text(path)), strict=True)
        rows = ((f"{path}:{reader.line_num}", tuple(row)) for row in _csv_rows(reader, path) if row)
    else:
        rows = ((f"{path}", row) for row in read_columns(path, ("head", "relation", "tail")))
    for number, (where, row) in enumerate(rows):
        if len(row) != 3 or not all(value.strip() for value in row):
            raise DataError(f"{where}: expected head, relation and tail, got {list(row)}")
        values = tuple(value.strip() for value in row)
        if number > 0 or values != ("head", "relation", "tail"):
            yield values[0], values[1], values[2]


def read_picture(path: Path) -> Image.Image | None:
    """A picture as RGBA; :obj:`None` where it is damaged, no picture, or too large to be one.

    Args:
        path (Path): The file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return None
                return picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def _csv_rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{path}: expected comma-separated values ({error})") from error


def _read_nt(path: Path) -> Iterator[tuple[str, str, str]]:
    literals = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _NT.fullmatch(line.removesuffix("\r"))
        if found is None:
            raise DataError(f"{path}:{number}: expected '<head> <relation> <tail> .', got {line[:60]!r}")
        if found[4] is None:
            literals += 1
        else:
            yield found[1], found[2], found[4]
    if literals:
        warnings.warn(f"{path}: {literals} facts with a literal or a blank node are left out", stacklevel=2)


def _inside(path: Path, folder: Path) -> Path:
    if not path.resolve().is_relative_to(folder):
        raise DataError(f"{path}: expected a file inside {folder}, got a link out of it")
    return path


def _default_image_encoder() -> ImageEncoder:
    from torch_geometric_dsom.encoders import EfficientNetLite0

    return EfficientNetLite0()


def _default_text_encoder() -> TextEncoder:
    from torch_geometric_dsom.encoders import MiniLM

    return MiniLM()
