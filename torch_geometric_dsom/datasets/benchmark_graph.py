"""What the benchmark graphs of the field share: a mirror or the network, a clean split, names and texts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import FeatureFile, MMKGDataset
from torch_geometric_dsom.datasets.carve import carve_validation
from torch_geometric_dsom.datasets.download import RemoteFile, fetch, sha256_of
from torch_geometric_dsom.datasets.encode import content_key, encode
from torch_geometric_dsom.datasets.encoded import TextEncoder, spread
from torch_geometric_dsom.datasets.tables import read_columns, read_triples
from torch_geometric_dsom.encoders import encoder_name, make_encoder
from torch_geometric_dsom.errors import DataError

FILES = ("train.tsv", "valid.tsv", "test.tsv", "entities.tsv", "relations.tsv")


@dataclass(frozen=True)
class Card:
    """What is known of a benchmark graph before it is read.

    Args:
        folder (str): Its folder in a mirror.
        num_entities (int): Number of entities.
        num_relations (int): Number of relations.
        num_facts (tuple[int, int, int]): Lines of the training, validation and test files.
        sha256 (dict[str, str]): Sums of the mirror's files.
        columns (tuple[str, ...]): Columns of ``entities.tsv``; ``id``, ``name`` and any of ``gloss``, ``short`` and
            ``long`` have a meaning.
        remote (dict[str, RemoteFile]): Where facts, and ids where they are, can be fetched; empty where nowhere.
        layout (str): Of the remote facts: ``"htr"``, the mirror's own, or ``"openke"``, a line with their number and
            then head, tail and relation, parted by spaces.
        broken_validation (bool): Whether the public validation file is not one; ``split='clean'`` then carves another
            from training. (default: :obj:`False`)
    """

    folder: str
    num_entities: int
    num_relations: int
    num_facts: tuple[int, int, int]
    sha256: Mapping[str, str]
    columns: tuple[str, ...]
    remote: Mapping[str, RemoteFile]
    layout: str = "htr"
    broken_validation: bool = False


class BenchmarkGraph(MMKGDataset):
    """A benchmark graph of the field; a subclass gives its :class:`Card`.

    Facts, names and texts come from a mirror, a folder with one folder for each data set: :obj:`mirror`, else the
    environment variable ``DSOM_DATA``. Without one, the facts are fetched from the public repository that the field
    takes them from; names and texts are not to be had there, so that entities are then called by their ids. Every file
    is checked against its known sum. Nothing of these graphs comes with the package.

    Args:
        root (str or Path, optional): Folder for the processed graph.
            (default: :func:`~torch_geometric_dsom.datasets.default_root`)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)
        pre_transform (Callable, optional): Applied to the graph before it is kept. (default: :obj:`None`)
        force_reload (bool): Make the processed graph anew. (default: :obj:`False`)
        split (str): ``"clean"`` or ``"official"``. (default: :obj:`"clean"`)
        mirror (str or Path, optional): Folder that holds the data set's folder.
        text_encoder (Callable or str): From a list of ``n`` strings to a tensor ``[n, D]``, or a name that
            :func:`~torch_geometric_dsom.encoders.encoder_name` knows: gives ``x_text`` of the entities that have a
            text. It is computed once and kept. (default: :obj:`"auto"`,
            :class:`~torch_geometric_dsom.encoders.MiniLM` where it is installed,
            :class:`~torch_geometric_dsom.encoders.HashedNGrams` elsewhere, nothing where there are no texts; ``"none"``
            for no features)
        image_features (path or tuple, optional): File of published features of pictures, as
            :func:`~torch_geometric_dsom.datasets.attach_features` reads it, or that file and the ids of its rows.
            (default: :obj:`None`)
        text_features (path or tuple, optional): The same for texts; nothing is encoded then. (default: :obj:`None`)
        threads (int, optional): Threads that torch may use while encoding. (default: :obj:`None`, as set)

    Raises:
        ConfigError: If ``split`` is unknown.
        DataError: If the files are missing, damaged or others than expected.
    """

    card: ClassVar[Card]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        force_reload: bool = False,
        split: str = "clean",
        mirror: str | os.PathLike[str] | None = None,
        text_encoder: TextEncoder | str = "auto",
        image_features: FeatureFile | None = None,
        text_features: FeatureFile | None = None,
        threads: int | None = None,
    ) -> None:
        mirror = os.environ.get("DSOM_DATA") if mirror is None else mirror
        self.mirror = None if not mirror else Path(mirror).expanduser() / self.card.folder
        self.text_encoder = text_encoder
        self.threads = threads
        if split == "official" and self.card.broken_validation:
            warnings.warn(self._broken(), stacklevel=2)
        super().__init__(root, transform, pre_transform, force_reload, split, image_features, text_features)

    @property
    def recipe(self) -> str:
        """What the processed graph depends on beside the split."""
        source = "network" if self.mirror is None else "mirror"
        return f"{source}, text_encoder={encoder_name('text', self.text_encoder)}"

    def build(self) -> Data:
        """The graph, made from the files of the mirror or of the network.

        Returns:
            Data: A graph in the data contract.
        """
        card = self.card
        folder = self._fetched() if self.mirror is None else self._mirrored(self.mirror)
        data = Data(num_nodes=card.num_entities)
        data.num_relations = card.num_relations
        for prefix, name, count in zip(("", "val_", "test_"), FILES, card.num_facts, strict=False):
            edge_index, edge_type = read_triples(folder / name, card.num_entities, card.num_relations)
            if edge_type.numel() != count:
                raise DataError(f"{folder / name}: expected {count} facts, got {edge_type.numel()}")
            data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = edge_index, edge_type
        if card.broken_validation and self.split == "clean":
            _carve(data)
        self._name(data, folder)
        self._encode(data)
        return self.finish(data, folder)

    def finish(self, data: Data, folder: Path) -> Data:
        """A last word of the subclass on its graph."""
        return data

    def _mirrored(self, folder: Path) -> Path:
        for name in FILES:
            path = folder / name
            if not path.is_file():
                raise DataError(f"{path}: expected a file of the mirror, found none")
            came = sha256_of(path)
            if came != self.card.sha256[name]:
                raise DataError(f"{path}: expected the sha256 {self.card.sha256[name]}, got {came}")
        return folder

    def _fetched(self) -> Path:
        """Fetches the facts and brings them into the layout of a mirror."""
        card, raw = self.card, Path(self.raw_dir)
        if not card.remote:
            raise DataError(
                f"{type(self).__name__}: no public copy can be fetched; give mirror= or DSOM_DATA a folder that holds "
                f"{card.folder}/ with {', '.join(FILES)}"
            )
        for name, file in card.remote.items():
            source = fetch(file, raw / f"{name}.source")
            if name in ("entities.tsv", "relations.tsv"):
                rows = read_columns(_without_header(source), ("id", "row"))
                text = "".join(f"{row[0]}\n" for row in sorted(rows, key=lambda row: int(row[1])))
            elif card.layout == "openke":
                lines = (line.split() for line in source.read_text(encoding="utf-8").splitlines()[1:])
                text = "".join(f"{h}\t{r}\t{t}\n" for h, t, r in lines)
            else:
                text = source.read_text(encoding="utf-8")
            part = raw / f".{name}.part"
            part.write_text(text, encoding="utf-8")
            part.replace(raw / name)
        return raw

    def _name(self, data: Data, folder: Path) -> None:
        """Ids and labels of entities and relations, and the texts of entities."""
        card = self.card
        entities, relations = folder / "entities.tsv", folder / "relations.tsv"
        if self.mirror is not None:
            rows = read_columns(entities, card.columns)
            texts = [_text(dict(zip(card.columns, row, strict=True))) for row in rows]
            data.entity_ids = [row[0] for row in rows]
            data.entity_labels = [row[1] or row[0] for row in rows]
            data.entity_texts = texts
            named = read_columns(relations, ("id", "label"))
            data.relation_ids = [row[0] for row in named]
            data.relation_labels = [row[1] or row[0] for row in named]
            return
        for kind, path, size in (("entity", entities, card.num_entities), ("relation", relations, card.num_relations)):
            ids = [row[0] for row in read_columns(path, ("id",))] if path.is_file() else [str(i) for i in range(size)]
            data[f"{kind}_ids"] = ids
            data[f"{kind}_labels"] = list(ids)

    def _encode(self, data: Data) -> None:
        if self.text_encoder == "none" or "text" in self.feature_files:
            return
        every = data.to_dict().get("entity_texts") or [""] * int(data.num_nodes)
        mask = torch.tensor([bool(text) for text in every])
        if not bool(mask.any()):
            if self.text_encoder == "auto":
                return
            raise DataError(f"{type(self).__name__}: expected texts to encode, found none; they come with a mirror")
        encoder, texts = make_encoder("text", self.text_encoder), [text for text in every if text]
        assert encoder is not None
        keys = [content_key(text) for text in texts]
        x, _ = encode(keys, texts.__getitem__, encoder, "text_encoder", self._kept, threads=self.threads)
        data.x_text, data.text_mask = spread(x, mask.nonzero().flatten(), int(data.num_nodes))

    def _broken(self) -> str:
        return (
            f"{type(self).__name__}: the public validation file is none: of its 7,481 distinct facts 6,584 are "
            "training facts and 824 are test facts; choose nothing by it, or take split='clean'"
        )


def attach_npz(data: Data, path: Path, modality: str, key: str, ids: str) -> None:
    """Adds features of some entities, given by id, to a graph.

    Args:
        data (Data): A graph with ``entity_ids``.
        path (Path): A file of numpy arrays without pickle.
        modality (str): Name of the modality.
        key (str): Array of features in the file, ``[n, D]``.
        ids (str): Array of ids in the file, ``[n]``.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            features, names = torch.from_numpy(file[key]).float(), [str(name) for name in file[ids]]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: expected the arrays '{key}' and '{ids}' ({error})") from error
    row = {name: number for number, name in enumerate(names)}
    places = [row.get(name, -1) for name in data.entity_ids]
    index = torch.tensor(places)
    mask = index >= 0
    data[f"x_{modality}"] = features[index.clamp_min(0)] * mask.unsqueeze(-1)
    data[f"{modality}_mask"] = mask


def _carve(data: Data) -> None:
    """Puts a twentieth of the training facts in the place of the validation facts, always the same ones."""
    head, tail = data.edge_index
    triples = torch.stack([head, data.edge_type, tail], dim=-1)
    held_out = carve_validation(triples, triples.size(0) // 20, torch.Generator().manual_seed(0))
    data.val_edge_index, data.val_edge_type = data.edge_index[:, held_out], data.edge_type[held_out]
    data.edge_index, data.edge_type = data.edge_index[:, ~held_out], data.edge_type[~held_out]


def _text(row: Mapping[str, str]) -> str:
    """What a text encoder sees of an entity: its name, and the best description that there is."""
    description = next((row[key] for key in ("long", "gloss", "short") if row.get(key)), "")
    return ": ".join(part for part in (row["name"], description) if part)


def _without_header(path: Path) -> Path:
    """A copy of a file without its first line, which tells how many there are."""
    _, _, rest = path.read_text(encoding="utf-8").partition("\n")
    copy = path.with_name(f"{path.name}.rows")
    copy.write_text(rest, encoding="utf-8")
    return copy
