"""Anyone's own graph: a folder with facts, texts and pictures."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import torch
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import MMKGDataset, default_root
from torch_geometric_dsom.datasets.encode import content_key, encode
from torch_geometric_dsom.datasets.encoded import ImageEncoder, TextEncoder, spread
from torch_geometric_dsom.datasets.facts import FORMATS, read_facts
from torch_geometric_dsom.datasets.features import KINDS, attach_features
from torch_geometric_dsom.datasets.from_triples import from_triples
from torch_geometric_dsom.datasets.pictures import find_pictures, inside, read_picture
from torch_geometric_dsom.datasets.tables import read_columns
from torch_geometric_dsom.encoders import encoder_name, make_encoder
from torch_geometric_dsom.errors import DataError


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
    ``images.zip``                     the same as an archive, in the place of the folder
    ``features/<modality>.*``          features that were computed before, as
                                       :func:`~torch_geometric_dsom.datasets.attach_features` reads them; those of
                                       ``text`` and ``image`` stand in the place of encoding
    ================================== =================================================================================

    Only the facts are required. Where there are texts or pictures, an encoder makes features of them; an entity without
    any stays masked. A picture that cannot be read is left out, with a warning that counts them. Nothing outside the
    folder is read: links that lead out of it are refused. What was encoded is kept: an interrupted run goes on where it
    was, and a picture or text that comes later is the only one that is encoded anew.

    Args:
        folder (str or Path): The folder; it is only read.
        root (str or Path, optional): Folder for the processed graph.
            (default: :func:`~torch_geometric_dsom.datasets.default_root`, by the name of the folder)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)
        pre_transform (Callable, optional): Applied to the graph before it is kept. (default: :obj:`None`)
        force_reload (bool): Make the processed graph anew. (default: :obj:`False`)
        image_encoder (Callable or str): From a list of ``n`` RGBA pictures to a tensor ``[n, D]``, or a name that
            :func:`~torch_geometric_dsom.encoders.encoder_name` knows, ``"none"`` for no features.
            (default: :obj:`"auto"`, :class:`~torch_geometric_dsom.encoders.EfficientNetLite0` where it is installed,
            :class:`~torch_geometric_dsom.encoders.PixelHistograms` elsewhere)
        text_encoder (Callable or str): From a list of ``n`` strings to a tensor ``[n, D]``, or a name.
            (default: :obj:`"auto"`, :class:`~torch_geometric_dsom.encoders.MiniLM` where it is installed,
            :class:`~torch_geometric_dsom.encoders.HashedNGrams` elsewhere)
        shares (tuple[float, float]): Shares to draw for validation and test where they are missing.
            (default: :obj:`(0.1, 0.1)`)
        seed (int): Seed of that draw. (default: :obj:`0`)
        threads (int, optional): Threads that torch may use while encoding. (default: :obj:`None`, as set)

    Raises:
        ConfigError: If there is no encoder of a name.
        DataError: If facts, texts or features cannot be read, an entity of ``texts.tsv``, ``images`` or ``features`` is
            in no fact, or an encoder gives something else than finite features.
        ImportError: If the encoder of a name is not installed.

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
        image_encoder: ImageEncoder | str = "auto",
        text_encoder: TextEncoder | str = "auto",
        shares: tuple[float, float] = (0.1, 0.1),
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser().resolve()
        if not self.folder.is_dir():
            raise DataError(f"{folder}: expected a folder, found none")
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self._pictures = find_pictures(self.folder)
        self.shares = shares
        self.seed = seed
        self.threads = threads
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
        for path in self._features().values():
            stat = path.stat()
            total.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        for picture in self._pictures:
            total.update(f"{picture.stamp}\0".encode())
        encoders = f"{encoder_name('image', self.image_encoder)}, {encoder_name('text', self.text_encoder)}"
        return f"{total.hexdigest()}, {encoders}, shares={self.shares}, seed={self.seed}"

    def build(self) -> Data:
        """The graph, made from the files of the folder.

        Returns:
            Data: A graph in the data contract.
        """
        parts = {name: list(read_facts(path)) for name, path in self._facts().items()}
        data = from_triples(parts["train"], parts.get("valid"), parts.get("test"), self.shares, self.seed)
        row = {label: number for number, label in enumerate(data.entity_ids)}
        features = self._features()
        self._add_texts(data, row, encoded="text" in features)
        if "image" not in features:
            self._add_pictures(data, row)
        for modality, path in features.items():
            attach_features(data, modality, path)
        return data

    def _facts(self) -> dict[str, Path]:
        """The files of facts by split."""
        found = {}
        for split in ("train", "valid", "test"):
            paths = [path for kind in FORMATS if (path := self.folder / f"{split}.{kind}").is_file()]
            if len(paths) > 1:
                raise DataError(f"{self.folder}: expected one file of {split} facts, got {[p.name for p in paths]}")
            if paths:
                found[split] = inside(paths[0], self.folder)
        if "train" not in found:
            raise DataError(f"{self.folder}: expected train.tsv, train.csv or train.nt, found none")
        return found

    def _features(self) -> dict[str, Path]:
        """The files of features by modality."""
        found: dict[str, Path] = {}
        for path in sorted((self.folder / "features").glob("*")):
            if path.suffix in KINDS:
                if path.stem in found:
                    raise DataError(f"{path}: expected one file a modality, got {found[path.stem].name} as well")
                found[path.stem] = inside(path, self.folder)
        return found

    def _add_texts(self, data: Data, row: dict[str, int], encoded: bool) -> None:
        path = self.folder / "texts.tsv"
        if not path.is_file():
            return
        texts: dict[int, str] = {}
        for entity, text in read_columns(inside(path, self.folder), ("entity", "text")):
            if entity.strip() not in row:
                raise DataError(f"{path}: expected entities of the facts, got {entity!r}")
            if row[entity.strip()] in texts:
                raise DataError(f"{path}: expected one text an entity, got a second one of {entity!r}")
            if text.strip():
                texts[row[entity.strip()]] = text.strip()
        data.entity_texts = [texts.get(number, "") for number in range(int(data.num_nodes))]
        encoder = make_encoder("text", self.text_encoder) if texts and not encoded else None
        if encoder is not None:
            strings = list(texts.values())
            keys = [content_key(text) for text in strings]
            x, _ = encode(keys, strings.__getitem__, encoder, "text_encoder", self._kept, threads=self.threads)
            data.x_text, data.text_mask = spread(x, torch.tensor(list(texts)), int(data.num_nodes))

    def _add_pictures(self, data: Data, row: dict[str, int]) -> None:
        """Features of all pictures; those of one entity are averaged."""
        names = {quote(label, safe=" "): number for label, number in row.items()} | row
        for picture in self._pictures:
            if picture.entity not in names:
                raise DataError(f"{picture.where}: expected an entity of the facts as name, got {picture.entity!r}")
        encoder = make_encoder("image", self.image_encoder) if self._pictures else None
        if encoder is None:
            return
        pictures = self._pictures
        keys = [content_key(picture.read()) for picture in pictures]
        x, good = encode(
            keys, lambda i: read_picture(pictures[i].read()), encoder, "image_encoder", self._kept, threads=self.threads
        )
        broken = [picture.where for picture, fine in zip(pictures, good.tolist(), strict=True) if not fine]
        if broken:
            warnings.warn(
                f"{len(broken)} pictures cannot be read and are left out, the first is {broken[0]}", stacklevel=4
            )
        if not bool(good.any()):
            return
        owners = torch.tensor([names[picture.entity] for picture in pictures])[good]
        unique, place = owners.unique(return_inverse=True)
        total = torch.zeros(len(unique), x.size(1)).index_add_(0, place, x[good])
        mean = total / torch.bincount(place).unsqueeze(-1)
        data.x_image, data.image_mask = spread(mean, unique, int(data.num_nodes))
