import json

import torch

from torch_geometric_dsom.datasets import read_features


def test_features(call, tmp_path):
    torch.save(torch.ones(2, 3), tmp_path / "vgg.pth")
    (tmp_path / "ids.txt").write_text("a\nb\n", encoding="utf-8")
    result = call("convert", tmp_path / "vgg.pth", tmp_path / "image.npz", "--ids", tmp_path / "ids.txt")
    assert result.exit_code == 0, result.output
    assert "2 rows of 3 values" in result.stdout
    features, names = read_features(tmp_path / "image.npz")
    assert torch.equal(features, torch.ones(2, 3))
    assert names == ["a", "b"]


def test_a_dataset(call, tmp_path):
    result = call("convert", "EmojiWorld", tmp_path / "out", "--root", tmp_path / "root", "--image-encoder", "none")
    assert result.exit_code == 0, result.output
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made == ["features/text.npz", "test.tsv", "texts.tsv", "train.tsv", "valid.tsv"]
    result = call("validate", tmp_path / "out", "--root", tmp_path / "again", "--json")
    assert json.loads(result.stdout)["num_entities"] == 4010
    result = call("convert", "EmojiWorld", tmp_path / "out", "--root", tmp_path / "root")
    assert "expected a new or an empty folder" in result.stderr
    result = call("convert", "EmojiWorld", tmp_path / "other", "--key", "x")
    assert "expected a file of features as source" in result.stderr
