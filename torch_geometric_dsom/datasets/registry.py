"""Datasets by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import MMKGDataset
from torch_geometric_dsom.datasets.benchmarks import DB15K, MKGW, MKGY, WN9, WN18, FB15k237
from torch_geometric_dsom.datasets.emoji_world import EmojiWorld
from torch_geometric_dsom.datasets.folder import MMKGFolder
from torch_geometric_dsom.errors import ConfigError

DATASETS: dict[str, type[MMKGDataset]] = {
    cls.__name__: cls for cls in (EmojiWorld, DB15K, MKGW, MKGY, FB15k237, WN18, WN9)
}


def load_dataset(name: str, root: str | os.PathLike[str] | None = None) -> Data:
    """Loads the graph of a dataset that is given by its name, or that lies in a folder.

    Args:
        name (str): Name of the dataset's class, or a folder as :class:`~torch_geometric_dsom.datasets.MMKGFolder` reads
            it.
        root (path, optional): Where its files are kept; a folder of the user's cache if :obj:`None`.

    Returns:
        Data: A graph in the data contract.

    Raises:
        ConfigError: If the name is unknown.

    Example:
        >>> from torch_geometric_dsom.datasets import load_dataset
        >>> load_dataset("EmojiWorld").num_relations
        21
    """
    if name not in DATASETS and Path(name).is_dir():
        return MMKGFolder(name, root)[0]
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"dataset: expected a folder or one of {sorted(DATASETS)}, got '{name}'{hint}")
    return DATASETS[name](root)[0]
