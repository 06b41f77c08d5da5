import numpy as np
import pytest

from torch_geometric_dsom.datasets import DATASETS, EmojiWorld, MMKGDataset, load_dataset, write_folder
from torch_geometric_dsom.errors import ConfigError


def test_loads_by_name(tmp_path):
    data = load_dataset("EmojiWorld", tmp_path)
    assert (data.num_nodes, data.num_relations, data.edge_index.size(1)) == (4010, 21, 8903)
    assert DATASETS["EmojiWorld"] is EmojiWorld
    assert all(issubclass(cls, MMKGDataset) for cls in DATASETS.values())


def test_unknown_names_get_a_hint():
    with pytest.raises(ConfigError, match="dataset: .*got 'emojiworld'; did you mean 'EmojiWorld'"):
        load_dataset("emojiworld")


def test_features_and_encoders_for_any_dataset(tmp_path):
    x = np.arange(4010.0)[:, None]
    np.save(tmp_path / "x.npy", x)
    data = load_dataset("EmojiWorld", tmp_path, text_features=tmp_path / "x.npy", image_encoder="none")
    assert data.x_text[:, 0].tolist() == x[:, 0].tolist()
    assert "x_image" not in data
    folder = write_folder(EmojiWorld(tmp_path)[0], tmp_path / "out")
    data = load_dataset(
        str(folder), tmp_path / "kept", image_features=(tmp_path / "x.npy", EmojiWorld(tmp_path)[0].entity_ids)
    )
    assert data.x_image.shape == (4010, 1)
    with pytest.raises(ConfigError, match="WN18 has no pictures to encode, got 'pixels'"):
        load_dataset("WN18", tmp_path, image_encoder="pixels")
