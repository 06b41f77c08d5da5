import pytest
import torch

from torch_geometric_dsom.data import split_triples
from torch_geometric_dsom.datasets import EmojiWorld, MMKGFolder, attach_features, write_folder
from torch_geometric_dsom.errors import DataError


def named(data, split):
    entity, relation = data.entity_ids, data.relation_ids
    return [(entity[h], relation[r], entity[t]) for h, r, t in split_triples(data, split).tolist()]


def test_there_and_back_is_the_same_graph(small_graph, tmp_path):
    data = small_graph.clone()
    data.entity_texts = [f"text of {i}" if i % 4 else "" for i in range(60)]
    folder = write_folder(data, tmp_path / "out")
    again = MMKGFolder(folder, root=tmp_path / "kept", text_encoder=lambda texts: torch.zeros(len(texts), 1))[0]
    for split in ("train", "val", "test"):
        assert named(again, split) == named(data, split)
    for name in ("image", "text"):
        attach_features(again, name, folder / "features" / f"{name}.npz")
        rows = torch.tensor([data.entity_ids.index(name) for name in again.entity_ids])
        assert torch.equal(again[f"x_{name}"], data[f"x_{name}"][rows])
        assert torch.equal(again[f"{name}_mask"], data[f"{name}_mask"][rows])
    places = {name: number for number, name in enumerate(again.entity_ids)}
    assert again.entity_texts[places["e5"]] == "text of 5"
    assert again.entity_texts[places["e4"]] == ""


def test_emoji_world_survives_the_trip(tmp_path):
    data = EmojiWorld(tmp_path / "root")[0]
    folder = write_folder(data, tmp_path / "out")
    again = MMKGFolder(folder, root=tmp_path / "kept", text_encoder=lambda texts: torch.zeros(len(texts), 1))[0]
    assert all(named(again, split) == named(data, split) for split in ("train", "val", "test"))
    assert (folder / "features" / "image.npz").is_file()


def test_what_cannot_be_written_is_said_and_nothing_is_left(small_graph, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(DataError, match="expected a new or an empty folder"):
        write_folder(small_graph, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    data = small_graph.clone()
    data.entity_ids = ["a\tb", *small_graph.entity_ids[1:]]
    with pytest.raises(DataError, match=r"data.entity_ids\[0\]: expected a name without tab and line end"):
        write_folder(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_folder(small_graph, tmp_path / "file" / "out")
    (tmp_path / "empty").mkdir()
    assert write_folder(small_graph, tmp_path / "empty").joinpath("test.tsv").is_file()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
