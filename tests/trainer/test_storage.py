import json
import os

import pytest
import torch

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

META, TENSORS = {"a": [1, "ü"]}, {"x": torch.arange(3.0)}


def test_round_trip(tmp_path):
    save_directory(tmp_path / "deep" / "run", META, TENSORS)
    meta, tensors = load_directory(tmp_path / "deep" / "run")
    assert meta == META
    assert torch.equal(tensors["x"], TENSORS["x"])
    kinds = sorted(name.split("-")[0] for name in os.listdir(tmp_path / "deep" / "run"))
    assert kinds == ["manifest.json", "meta", "tensors"]
    assert os.listdir(tmp_path / "deep") == ["run"]  # nothing is left beside it


def test_replaces_an_older_save_but_nothing_else(tmp_path):
    save_directory(tmp_path / "run", META, TENSORS)
    save_directory(tmp_path / "run", {"b": 2}, TENSORS)
    assert load_directory(tmp_path / "run")[0] == {"b": 2}
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.txt").write_text("cat")
    with pytest.raises(CheckpointError, match="left as it was"):
        save_directory(other, META, TENSORS)
    assert os.listdir(other) == ["cat.txt"]


def test_a_save_that_fails_leaves_the_older_one(tmp_path, monkeypatch):
    save_directory(tmp_path / "run", META, TENSORS)

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("torch_geometric_dsom.trainer.storage.save_file", full)
    with pytest.raises(CheckpointError, match="no space left"):
        save_directory(tmp_path / "run", {"b": 2}, TENSORS)
    assert load_directory(tmp_path / "run")[0] == META
    assert os.listdir(tmp_path) == ["run"]


def test_missing_damaged_and_foreign_saves_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="not found"):
        load_directory(tmp_path / "nowhere")
    save_directory(tmp_path / "run", META, TENSORS)
    (payload,) = (tmp_path / "run").glob("tensors-*.safetensors")
    whole = payload.read_bytes()
    payload.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="damaged"):
        load_directory(tmp_path / "run")
    payload.unlink()
    with pytest.raises(CheckpointError, match="not found"):
        load_directory(tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    for text, match in (
        ("{", "not a readable save"),
        ("[]", "expected format"),
        ('{"format": "x"}', "expected format"),
    ):
        manifest.write_text(text)
        with pytest.raises(CheckpointError, match=match):
            load_directory(tmp_path / "run")


def test_a_newer_format_and_a_path_out_of_the_folder_are_refused(tmp_path):
    save_directory(tmp_path / "run", META, TENSORS)
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format_version": 99}))
    with pytest.raises(CheckpointError, match="version 2, got 99"):
        load_directory(tmp_path / "run")
    for name in ("../../secret", "/etc/passwd", "meta-1/../../x.json", "tensors-1.json", "meta-1.pkl"):
        files = {**manifest["files"], "meta": {"name": name, "sha256": "0"}}
        path.write_text(json.dumps({**manifest, "files": files}))
        with pytest.raises(CheckpointError, match="expected the name of a file of meta"):
            load_directory(tmp_path / "run")
