import json
import os
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from torch_geometric_dsom import __version__
from torch_geometric_dsom.cli import app, main, parse_options
from torch_geometric_dsom.data import validate
from torch_geometric_dsom.datasets import DATASETS, EmojiWorld, read_features
from torch_geometric_dsom.errors import ConfigError

TINY = ["--epochs", "1", "--rank", "8", "--set", "teacher_hidden=16", "--set", "teacher_fit.epochs=1"]
TINY += ["--set", "student_fit.epochs=1"]


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    root = folder / "data"
    result = call("train", "--root", root, "--out", folder / "run", "--compare", "--seed", 4, *TINY)
    assert result.exit_code == 0, result.output
    return folder / "run", root, result


def test_train_prints_the_table_and_leaves_a_run_folder(run):
    folder, _, result = run
    for name in ("teacher: structure", "teacher: image", "teacher: text", "teacher: fused", "CE-only", "DSoM student"):
        assert name in result.output
    assert sorted(os.listdir(folder)) == ["history.jsonl", "model", "results.json", "results.txt"]
    results = json.loads((folder / "results.json").read_text())
    assert results["seed"] == 4
    assert results["config"]["rank"] == 8
    rows = results["test"]["rows"]
    assert 0 < rows["DSoM student"]["metrics"]["both"]["mrr"] < 1
    assert rows["DSoM student"]["metrics"]["both"]["count"] == 2 * 1114
    assert 0 <= rows["teacher: text"]["chosen"] <= 1
    assert (folder / "results.txt").read_text() in result.output
    phases = [json.loads(line)["phase"] for line in (folder / "history.jsonl").read_text().splitlines()]
    expected = ["teacher/structure", "teacher/image", "teacher/text", "student", "ce_only"]
    assert list(dict.fromkeys(phases)) == expected


def test_evaluate_gives_the_same_metrics(run):
    folder, root, _ = run
    result = call("evaluate", "--run", folder, "--root", root, "--json")
    expected = json.loads((folder / "results.json").read_text())["test"]["rows"]["DSoM student"]["metrics"]
    assert json.loads(result.stdout) == expected
    assert "0." in call("evaluate", "--run", folder, "--root", root, "--split", "val").stdout


def test_predict_with_and_without_the_dataset(run):
    folder, root, _ = run
    query = ["predict", "--run", folder, "--head", "territory:CH", "--relation", "official_language", "-k", 5]
    result = call(*query)
    assert len(result.stdout.splitlines()) == 6
    assert "known facts are not left out" in result.stderr
    answers = json.loads(call(*query, "--dataset", "EmojiWorld", "--root", root, "--json").stdout)
    assert len(answers) == 5
    assert not any(answer["known"] for answer in answers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--dataset", "EmojiWord"], "dataset: .* did you mean 'EmojiWorld'"),
        (["train", "--set", "gama=1"], "gama: unknown option; did you mean 'gamma'"),
        (["train", "--set", "gamma"], "--set: expected name=value, got 'gamma'"),
        (["train", "--set", "student_fit.lr=fast"], "student_fit.lr: expected float, got str 'fast'"),
        (["train", "--rank", "0"], "rank: expected a positive number, got 0"),
        (["train", "--epochs", "0"], "epochs: expected a positive number, got 0"),
        (["evaluate", "--run", "nowhere"], "nowhere.*not found"),
        (["predict", "--run", "nowhere", "--relation", "x", "--head", "y"], "nowhere.*not found"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "cat.txt").write_text("cat")
    result = call("train", "--out", tmp_path, *TINY)
    assert isinstance(result.exception, ConfigError)
    assert "holds something else" in str(result.exception)
    assert os.listdir(tmp_path) == ["cat.txt"]


def test_unknown_names_in_predict_are_named(run):
    folder, _, _ = run
    result = call("predict", "--run", folder, "--head", "territory:XX", "--relation", "official_language")
    assert "entity: unknown name 'territory:XX'" in str(result.exception)


def test_parse_options_nests_and_refuses_what_contradicts():
    assert parse_options(["beta=null", "a.b=1", "a.c=x"]) == {"beta": None, "a": {"b": 1, "c": "x"}}
    with pytest.raises(ConfigError, match="'a' was given a value already"):
        parse_options(["a=1", "a.b=2"])


def test_the_module_runs_and_tells_its_version():
    command = [sys.executable, "-m", "torch_geometric_dsom"]
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=120, check=True)
    assert shown.stdout.strip() == __version__
    for name in ("train", "evaluate", "predict"):
        assert "Example: torch-geometric-dsom" in call(name, "--help").output


def test_a_folder_of_facts_becomes_a_trained_student_in_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "mine"
    folder.mkdir()
    ring = "".join(f"e{i}\tnear\te{(i + s) % 30}\n" for i in range(30) for s in (1, 2, 5))
    (folder / "train.tsv").write_text(ring, encoding="utf-8")
    out = tmp_path / "run"
    main_options = ["--dataset", str(folder), "--epochs", "2", "--rank", "4", "--set", "teacher_fit.epochs=2"]
    with pytest.raises(SystemExit) as done:
        main(["train", *main_options, "--out", str(out)])
    assert done.value.code in (0, None)
    assert "DSoM student" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["predict", "--run", str(out), "--head", "e3", "--relation", "near", "-k", "2"])
    assert done.value.code in (0, None)
    assert capsys.readouterr().out.count("(e") == 2


def test_datasets_and_validate_tell_what_the_functions_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path))
    listed = call("datasets")
    assert listed.exit_code == 0
    assert set(json.loads(call("datasets", "--json").stdout)) == set(DATASETS)
    assert all(name in listed.stdout for name in DATASETS)
    shown, as_json = call("validate", "EmojiWorld"), call("validate", "EmojiWorld", "--json")
    report = validate(EmojiWorld(tmp_path / "EmojiWorld")[0])
    assert shown.stdout.strip() == str(report).strip()
    assert json.loads(as_json.stdout) == report.to_dict()


def test_convert_features(tmp_path):
    torch.save(torch.ones(2, 3), tmp_path / "vgg.pth")
    (tmp_path / "ids.txt").write_text("a\nb\n", encoding="utf-8")
    result = call("convert", tmp_path / "vgg.pth", tmp_path / "image.npz", "--ids", tmp_path / "ids.txt")
    assert result.exit_code == 0, result.output
    assert "2 rows of 3 values" in result.stdout
    features, names = read_features(tmp_path / "image.npz")
    assert torch.equal(features, torch.ones(2, 3))
    assert names == ["a", "b"]


def test_convert_a_dataset(tmp_path):
    result = call("convert", "EmojiWorld", tmp_path / "out", "--root", tmp_path / "root", "--image-encoder", "none")
    assert result.exit_code == 0, result.output
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made == ["features/text.npz", "test.tsv", "texts.tsv", "train.tsv", "valid.tsv"]
    result = call("validate", tmp_path / "out", "--root", tmp_path / "again", "--json")
    assert json.loads(result.stdout)["num_entities"] == 4010
    result = call("convert", "EmojiWorld", tmp_path / "out", "--root", tmp_path / "root")
    assert "expected a new or an empty folder" in str(result.exception)
    result = call("convert", "EmojiWorld", tmp_path / "other", "--key", "x")
    assert "expected a file of features as source" in str(result.exception)


def test_encoders_by_name(tmp_path):
    common = ["validate", "EmojiWorld", "--root", tmp_path, "--json"]
    report = json.loads(call(*common, "--image-encoder", "none", "--text-encoder", "ngrams").stdout)
    assert list(report["modalities"]) == ["text"]
    assert report["modalities"]["text"]["dim"] == 512
    result = call(*common, "--text-encoder", "minilmm")
    assert "did you mean 'minilm'" in str(result.exception)
