"""What the data sets share: where they live, how a processed graph is kept, which split was asked for."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Data, InMemoryDataset

from torch_geometric_dsom.datasets.features import attach_features
from torch_geometric_dsom.datasets.root_lock import root_lock
from torch_geometric_dsom.datasets.storage import load_data, save_data
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.version import __version__

SPLITS = ("clean", "official")
Place = str | os.PathLike[str]
FeatureFile = Place | tuple[Place, Place | Sequence[str]]


def _file_and_ids(given: FeatureFile) -> tuple[Place, Place | Sequence[str] | None]:
    return given if isinstance(given, tuple) else (given, None)


def default_root(name: str) -> Path:
    """Folder of a data set where none is given: ``$DSOM_HOME``, else the user's cache.

    Args:
        name (str): Name of the data set.

    Returns:
        Path: The folder, which need not exist.

    Example:
        >>> default_root("EmojiWorld").name
        'EmojiWorld'
    """
    if home := os.environ.get("DSOM_HOME"):
        return Path(home).expanduser() / name
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "torch_geometric_dsom" / name


class MMKGDataset(InMemoryDataset):
    """One multimodal knowledge graph; a subclass says in :meth:`build` how it is made from its raw files.

    The processed graph is one file without pickle, written whole or not at all. A file that is damaged, of another
    version of the package or of another ``pre_transform`` is made anew; where it cannot be written, the graph stays in
    memory, with a warning. Where another process makes the same graph, it is waited for.

    Args:
        root (str or Path, optional): Folder of the data set. (default: :func:`default_root`)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)
        pre_transform (Callable, optional): Applied to the graph before it is kept. (default: :obj:`None`)
        force_reload (bool): Make the processed graph anew. (default: :obj:`False`)
        split (str): ``"clean"`` or ``"official"``. (default: :obj:`"clean"`)
        image_features (path or tuple, optional): File of published features of pictures, as
            :func:`~torch_geometric_dsom.datasets.attach_features` reads it, or that file and the ids of its rows.
            (default: :obj:`None`)
        text_features (path or tuple, optional): The same for texts; nothing is encoded then. (default: :obj:`None`)

    Raises:
        ConfigError: If ``split`` is unknown.
        DataError: If the raw files are damaged.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        force_reload: bool = False,
        split: str = "clean",
        image_features: FeatureFile | None = None,
        text_features: FeatureFile | None = None,
    ) -> None:
        if split not in SPLITS:
            close = difflib.get_close_matches(str(split), SPLITS, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"split: expected one of {list(SPLITS)}, got {split!r}{hint}")
        self.split = split
        given = {"image": image_features, "text": text_features}
        self.feature_files = {modality: _file_and_ids(file) for modality, file in given.items() if file is not None}
        root = default_root(type(self).__name__) if root is None else root
        super().__init__(os.fspath(root), transform, pre_transform, force_reload=force_reload)
        self._data = self._load_or_build()

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the files in ``raw_dir``: none, unless a subclass keeps some."""
        return []

    @property
    def processed_file_names(self) -> list[str]:
        """Name of the file in ``processed_dir``."""
        return [f"{self.split}.safetensors"]

    @property
    def _kept(self) -> Path:
        """Folder of what encoders gave."""
        return Path(self.processed_dir) / "encoded"

    @property
    def recipe(self) -> str:
        """What the processed graph depends on beside split and ``pre_transform``."""
        return ""

    def build(self) -> Data:
        """The graph, made from the raw files.

        Returns:
            Data: A graph in the data contract.
        """
        raise NotImplementedError

    def _stamp(self, modality: str) -> str:
        """What changes when a file of features does; its ids are there as they are."""
        file, ids = self.feature_files[modality]
        stamps = [modality]
        for path in (file, ids):
            if not isinstance(path, (str, os.PathLike)):
                stamps.append(repr(path if path is None else list(path)))
            elif not Path(path).is_file():
                raise DataError(f"{path}: expected a file, found none")
            else:
                stat = Path(path).stat()
                stamps.append(f"{Path(path).resolve()} {stat.st_size} {stat.st_mtime_ns}")
        return f", {' '.join(stamps)}"

    def _load_or_build(self) -> Data:
        path = Path(self.processed_paths[0])
        recipe = f"pre_transform={self.pre_transform!r}" + (f", {self.recipe}" if self.recipe else "")
        key = f"{type(self).__name__} {self.split} of {__version__}, {recipe}" + "".join(
            map(self._stamp, self.feature_files)
        )
        nameless = re.search(r" at 0x[0-9a-fA-F]+", recipe) is not None  # an address tells nothing about what it does
        kept = None if self.force_reload or nameless else load_data(path, key)
        if kept is not None:
            return kept
        with root_lock(path.parent):
            # Whoever was there before us may have made it.
            kept = None if self.force_reload or nameless else load_data(path, key)
            return self._make(path, key) if kept is None else kept

    def _make(self, path: Path, key: str) -> Data:
        """Makes the graph and keeps it."""
        data: Any = self.build()
        for modality, (file, ids) in self.feature_files.items():
            attach_features(data, modality, file, ids)
        if self.pre_transform is not None:
            data = self.pre_transform(data)
        try:
            save_data(data, path, key)
        except (OSError, DataError) as error:
            warnings.warn(f"{path}: could not be written, the graph stays in memory ({error})", stacklevel=4)
        return data
