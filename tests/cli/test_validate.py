import json

from torch_geometric_dsom.data import validate
from torch_geometric_dsom.datasets import EmojiWorld


def test_it_tells_what_the_function_tells(call, tmp_path, monkeypatch):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path))
    shown, as_json = call("validate", "EmojiWorld"), call("validate", "EmojiWorld", "--json")
    report = validate(EmojiWorld(tmp_path / "EmojiWorld")[0])
    assert shown.stdout.strip() == str(report).strip()
    assert json.loads(as_json.stdout) == report.to_dict()


def test_encoders_by_name(call, tmp_path):
    common = ["validate", "EmojiWorld", "--root", tmp_path, "--json"]
    report = json.loads(call(*common, "--image-encoder", "none", "--text-encoder", "ngrams").stdout)
    assert list(report["modalities"]) == ["text"]
    assert report["modalities"]["text"]["dim"] == 512
    result = call(*common, "--text-encoder", "minilmm")
    assert "did you mean 'minilm'" in result.stderr
