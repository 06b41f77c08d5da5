"""Data sets, each a PyG data set with one graph in the data contract, and the readers they are made with."""

from torch_geometric_dsom.datasets.base import MMKGDataset, default_root
from torch_geometric_dsom.datasets.emoji_world import EmojiWorld
from torch_geometric_dsom.datasets.fake import FakeMMKG
from torch_geometric_dsom.datasets.registry import DATASETS, load_dataset
from torch_geometric_dsom.datasets.tables import read_columns, read_triples

__all__ = [
    "DATASETS",
    "EmojiWorld",
    "FakeMMKG",
    "MMKGDataset",
    "default_root",
    "load_dataset",
    "read_columns",
    "read_triples",
]
