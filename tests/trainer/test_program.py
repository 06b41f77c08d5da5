import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from torch_geometric_dsom import ConfigError, Student
from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.nn import SCORERS, ComplExInteraction, DistMultInteraction, EmbeddingScorer, SumInteraction
from torch_geometric_dsom.trainer import export_scoring, program

WORDS = Vocabulary([f"e{i}" for i in range(9)], [f"thing {i}" for i in range(9)], ["r", "s"], ["is", "hät"])
BATCHES = (1, 2, 5)


def make(name):
    scorer = EmbeddingScorer(9, 2, SumInteraction([ComplExInteraction(3), DistMultInteraction(2)], [0.5, 1.0]))
    return Student(scorer if name == "sum" else SCORERS[name](9, 2, rank=4), WORDS)


def query(size):
    return torch.arange(size) * 2 % 9, torch.arange(size) % 4


@pytest.mark.parametrize("name", [*SCORERS, "sum"])
def test_torch_export(name, tmp_path):
    student, kept = make(name), {"vocabulary.json": ""}
    path = export_scoring(student, tmp_path / "s.pt2")
    scores = torch.export.load(path, extra_files=kept).module()
    for size in BATCHES:
        assert torch.allclose(scores(*query(size)), student.score_tails(*query(size)), atol=1e-6, rtol=0)
    assert json.loads(kept["vocabulary.json"])["relation_labels"] == ["is", "hät"]
    assert os.listdir(tmp_path) == ["s.pt2"]


@pytest.mark.parametrize("name", [*SCORERS, "sum"])
def test_onnx(name, tmp_path):
    for module in ("onnx", "onnxscript"):
        pytest.importorskip(module)
    runtime = pytest.importorskip("onnxruntime")
    student = make(name)
    session = runtime.InferenceSession(export_scoring(student, tmp_path / "s.onnx"))
    for size in BATCHES:
        head, relation = query(size)
        (scores,) = session.run(["scores"], {"head": head.numpy(), "relation": relation.numpy()})
        assert scores.dtype == np.float32
        assert np.allclose(scores, student.score_tails(head, relation).numpy(), atol=1e-6, rtol=0)
    words = json.loads(session.get_modelmeta().custom_metadata_map["vocabulary"])
    assert words["entity_ids"] == list(WORDS.entity_ids)
    assert os.listdir(tmp_path) == ["s.onnx"]


def test_it_runs_where_this_package_is_not(tmp_path):
    student = make("complex")
    export_scoring(student, tmp_path / "s.pt2")
    code = """
import json, sys, torch
scores = torch.export.load(sys.argv[1]).module()(torch.tensor([3]), torch.tensor([1]))
assert not any(name.startswith("torch_geometric") for name in sys.modules)
print(json.dumps(scores[0].tolist()))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "s.pt2")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    expected = student.score_tails(torch.tensor([3]), torch.tensor([1]))[0]
    assert torch.allclose(torch.tensor(json.loads(run.stdout)), expected, atol=1e-6, rtol=0)


def test_of_a_trainer(trained, tmp_path):
    scores = torch.export.load(export_scoring(trained, tmp_path / "s.pt2")).module()
    head, relation = torch.tensor([5, 59]), torch.tensor([1, 4])
    assert torch.allclose(scores(head, relation), trained.student.score_tails(head, relation), atol=1e-6)


def test_the_random_state_and_the_student_stay(tmp_path):
    student = make("tucker")
    before, tables = torch.get_rng_state(), {name: value.clone() for name, value in student.state_dict().items()}
    export_scoring(student, tmp_path / "s.pt2")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, tables[name]) for name, value in student.state_dict().items())


def test_bad_arguments_leave_nothing(tmp_path, monkeypatch):
    student = make("complex")
    with pytest.raises(ConfigError, match=r"ends in \.pt2 or \.onnx, got .*s\.pt'"):
        export_scoring(student, tmp_path / "s.pt")
    with pytest.raises(ConfigError, match="model: expected a Student or a DSoMTrainer, got int"):
        export_scoring(1, tmp_path / "s.pt2")
    monkeypatch.setattr(program, "ONNX_BYTES", 100)
    for module in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, module, sys)  # whatever can be imported
    with pytest.raises(ConfigError, match=r"at most 2 GiB, got tables of 416 bytes; write a \.pt2"):
        export_scoring(student, tmp_path / "s.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"torch_geometric_dsom\[onnx\]"):
        export_scoring(student, tmp_path / "s.onnx")
    assert os.listdir(tmp_path) == []
