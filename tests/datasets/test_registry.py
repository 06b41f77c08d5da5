import pytest

from torch_geometric_dsom.datasets import DATASETS, EmojiWorld, MMKGDataset, load_dataset
from torch_geometric_dsom.errors import ConfigError


def test_loads_by_name(tmp_path):
    data = load_dataset("EmojiWorld", tmp_path)
    assert (data.num_nodes, data.num_relations, data.edge_index.size(1)) == (4010, 21, 8903)
    assert DATASETS["EmojiWorld"] is EmojiWorld
    assert all(issubclass(cls, MMKGDataset) for cls in DATASETS.values())


def test_unknown_names_get_a_hint():
    with pytest.raises(ConfigError, match="dataset: .*got 'emojiworld'; did you mean 'EmojiWorld'"):
        load_dataset("emojiworld")
