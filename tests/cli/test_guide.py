import json
import math
import shutil

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer, Student
from torch_geometric_dsom.cli.guide import _paths
from torch_geometric_dsom.cli.run_folder import RunFolder
from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.trainer import fit_guides

UNTRAINED = ["rules", "ridge", "frequency"]


@pytest.fixture
def own(run, tmp_path):
    """A copy of the run that may be changed."""
    return shutil.copytree(run[0], tmp_path / "run")


@pytest.mark.parametrize(("flags", "shrinkage"), [([], math.inf), (["--by-relation"], 20.0)])
def test_it_is_what_fit_guides_finds(call, own, flags, shrinkage):
    data = RunFolder(own).data()
    expected = fit_guides(Student.load(own / "model").scorer, data, shrinkage=shrinkage)
    result = call("guide", "--run", own, "--test", "--json", *flags)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    assert found["val_mrr"]["guided"] == evaluate(expected, data, split="val", known=known).mrr
    assert found["val_mrr"]["guided"] > found["val_mrr"]["student"]
    assert found["test"]["guided"] == evaluate(expected, data).to_dict()
    assert list(found["weights"]) == UNTRAINED
    kept = json.loads(call("evaluate", "--run", own, "--model", "guided", "--json").stdout)
    assert kept == found["test"]["guided"]
    text = call("guide", "--run", own, *flags).stdout.splitlines()
    assert [line.split()[0] for line in text] == [*UNTRAINED, "student", "guided"]
    assert any("by relation" in line for line in text) == bool(flags)


def test_predict_asks_it(call, own):
    assert call("guide", "--run", own).exit_code == 0
    student, data = Student.load(own / "guided"), RunFolder(own).data(features=False)
    query = ["predict", "--run", own, "--head", "e0", "--relation", "r0", "-k", 5, "--json"]
    answers = json.loads(call(*query, "--guided").stdout)
    assert [answer["score"] for answer in answers] == [
        answer.score for answer in student.predict(data, head="e0", relation="r0", k=5)
    ]
    assert answers != json.loads(call(*query).stdout)


def test_paths_are_those_of_the_runs_teachers_or_trained_as_it_says(call, own, graph_options, tiny, tmp_path):
    shape = ["--set", "path_dim=4", "--set", "path_layers=2", "--set", "path_fit.epochs=1"]
    for name, weight in (("with", 0.5), ("without", 0.0)):
        asked = ["train", *graph_options, *tiny, *shape, "--set", f"path_weight={weight}", "--seed", 4]
        assert call(*asked, "--out", tmp_path / name).exit_code == 0
    data = RunFolder(own).data(features=False)
    found = [_paths(RunFolder(tmp_path / name), data) for name in ("with", "without")]
    own_teachers = DSoMTrainer.load(tmp_path / "with" / "model").teachers
    assert torch.equal(found[0].query, own_teachers["fused"].guide.query)
    assert repr(found[0]) == repr(found[1]) == "PathScorer(60, 2, facts=480, dim=4, layers=2)"
    told = json.loads(call("guide", "--run", tmp_path / "without", "--guide", "paths", "--json").stdout)
    assert list(told["weights"]) == ["paths"]
    assert told["val_mrr"]["guided"] >= told["val_mrr"]["student"]


def test_training_anew_removes_it(call, own, tiny, graph_options):
    call("guide", "--run", own, "--guide", "rules")
    assert (own / "guided").is_dir()
    assert call("train", *graph_options, "--seed", 5, *tiny, "--out", own, "--overwrite").exit_code == 0
    assert not (own / "guided").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["guide", "--guide", "cats"], "--guide: expected one of ['rules', 'ridge', 'frequency', 'paths'], got 'cats'"),
        (["evaluate", "--model", "guided"], "has no student with guides; the command guide makes one"),
        (["predict", "--guided", "--head", "e0", "--relation", "r0"], "has no student with guides"),
    ],
)
def test_bad_input(call, own, command, message):
    result = call(*command, "--run", own)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (own / "guided").exists()
