"""Data sets, each a PyG data set with one graph in the data contract, and the readers they are made with."""

from torch_geometric_dsom.datasets.base import MMKGDataset, default_root
from torch_geometric_dsom.datasets.benchmark_graph import BenchmarkGraph
from torch_geometric_dsom.datasets.benchmarks import DB15K, MKGW, MKGY, WN9, WN18, FB15k237
from torch_geometric_dsom.datasets.carve import carve_validation
from torch_geometric_dsom.datasets.download import RemoteFile, fetch
from torch_geometric_dsom.datasets.emoji_world import EmojiWorld
from torch_geometric_dsom.datasets.encode import content_key, encode
from torch_geometric_dsom.datasets.export import write_folder
from torch_geometric_dsom.datasets.fake import FakeMMKG
from torch_geometric_dsom.datasets.features import attach_features, read_features, read_names, write_features
from torch_geometric_dsom.datasets.folder import MMKGFolder
from torch_geometric_dsom.datasets.from_triples import from_triples
from torch_geometric_dsom.datasets.gallery import Gallery
from torch_geometric_dsom.datasets.registry import DATASETS, load_dataset
from torch_geometric_dsom.datasets.tables import read_columns, read_triples

__all__ = [
    "DATASETS",
    "DB15K",
    "MKGW",
    "MKGY",
    "WN9",
    "WN18",
    "BenchmarkGraph",
    "EmojiWorld",
    "FB15k237",
    "FakeMMKG",
    "Gallery",
    "MMKGDataset",
    "MMKGFolder",
    "RemoteFile",
    "attach_features",
    "carve_validation",
    "content_key",
    "default_root",
    "encode",
    "fetch",
    "from_triples",
    "load_dataset",
    "read_columns",
    "read_features",
    "read_names",
    "read_triples",
    "write_features",
    "write_folder",
]
