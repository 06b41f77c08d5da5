"""Datasets by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from torch_geometric_dsom.datasets.base import FeatureFile, MMKGDataset
from torch_geometric_dsom.datasets.benchmarks import DB15K, MKGW, MKGY, WN9, WN18, FB15k237
from torch_geometric_dsom.datasets.emoji_world import EmojiWorld
from torch_geometric_dsom.datasets.features import attach_features
from torch_geometric_dsom.datasets.folder import MMKGFolder
from torch_geometric_dsom.errors import ConfigError

DATASETS: dict[str, type[MMKGDataset]] = {
    cls.__name__: cls for cls in (EmojiWorld, DB15K, MKGW, MKGY, FB15k237, WN18, WN9)
}


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    image_encoder: str | None = None,
    text_encoder: str | None = None,
    image_features: FeatureFile | None = None,
    text_features: FeatureFile | None = None,
) -> Data:
    """Loads the graph of a dataset that is given by its name, or that lies in a folder.

    Args:
        name (str): Name of the dataset's class, or a folder as :class:`~torch_geometric_dsom.datasets.MMKGFolder` reads
            it.
        root (path, optional): Where its files are kept; a folder of the user's cache if :obj:`None`.
        image_encoder (str, optional): Name of an encoder of pictures, or ``"none"``. (default: :obj:`None`, the
            dataset's own)
        text_encoder (str, optional): Name of an encoder of texts, or ``"none"``. (default: :obj:`None`, the dataset's
            own)
        image_features (path or tuple, optional): File of published features of pictures, or that file and the ids of
            its rows. (default: :obj:`None`)
        text_features (path or tuple, optional): The same for texts. (default: :obj:`None`)

    Returns:
        Data: A graph in the data contract.

    Raises:
        ConfigError: If the name is unknown, or the dataset has no pictures to encode.

    Example:
        >>> from torch_geometric_dsom.datasets import load_dataset
        >>> load_dataset("EmojiWorld").num_relations
        21
    """
    given = {"image_encoder": image_encoder, "text_encoder": text_encoder}
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if name not in DATASETS and Path(name).is_dir():
        data = MMKGFolder(name, root, **options)[0]
        for modality, file in (("image", image_features), ("text", text_features)):
            if file is not None:
                attach_features(data, modality, *(file if isinstance(file, tuple) else (file,)))
        return data
    files: dict[str, Any] = {"image_features": image_features, "text_features": text_features}
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"dataset: expected a folder or one of {sorted(DATASETS)}, got '{name}'{hint}")
    if name == EmojiWorld.__name__:
        dataset = EmojiWorld(root, **files)
        return dataset.reencode(**options) if options else dataset[0]
    if image_encoder not in (None, "none", "auto"):
        raise ConfigError(f"image_encoder: expected 'none', {name} has no pictures to encode, got '{image_encoder}'")
    options.pop("image_encoder", None)
    return DATASETS[name](root, **options, **files)[0]
