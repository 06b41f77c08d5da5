import json
import os

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer


def test_it_prints_the_table_and_leaves_a_run_folder(run):
    folder, result = run
    for name in ("teacher: structure", "teacher: image", "teacher: text", "teacher: fused", "CE-only", "DSoM student"):
        assert name in result.stdout
    made = ["checkpoints", "config.json", "history.jsonl", "model", "results.json", "results.txt", "tracked.csv"]
    assert sorted(os.listdir(folder)) == made
    results = json.loads((folder / "results.json").read_text())
    assert results["seed"] == 4
    assert results["config"]["rank"] == 4
    rows = results["test"]["rows"]
    assert 0 < rows["DSoM student"]["metrics"]["both"]["mrr"] < 1
    assert 0 <= rows["teacher: text"]["chosen"] <= 1
    assert (folder / "results.txt").read_text() == result.stdout
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    phases = ["teacher/structure", "teacher/image", "teacher/text", "student", "ce_only"]
    assert list(dict.fromkeys(record["phase"] for record in history)) == phases
    tracked = (folder / "tracked.csv").read_text().splitlines()
    assert sum(",ce_only.loss," in line for line in tracked) == 2
    assert f"metric,{len(history)},ce_only.loss,{history[-1]['loss']}" in tracked


def test_progress_without_a_terminal_is_plain_lines_on_stderr(run):
    result = run[1]
    assert "student: epoch 2, loss " in result.stderr
    assert "rank=4 (flag)" in result.stderr
    assert "\x1b" not in result.output


def test_the_configuration_of_a_run_repeats_it(call, run, tmp_path):
    folder, first = run
    again = call("train", "--config", folder / "config.json", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout
    assert (tmp_path / "again" / "config.json").read_text() == (folder / "config.json").read_text()


def test_flags_win_over_a_file_and_a_file_over_the_library(call, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("rank: 8\ngamma: 0.5\nseed: 3\nstudent_fit:\n  lr: 1e-3\n", encoding="utf-8")
    shown = call("train", "--config", file, "--rank", 4, "--set", "student_fit.n3=0.1", "--show-config", "--json")
    values = json.loads(shown.stdout)
    assert (values["rank"], values["gamma"], values["seed"]) == (4, 0.5, 3)
    assert (values["student_fit"]["lr"], values["student_fit"]["n3"]) == (0.001, 0.1)
    assert values["alpha"] == 1.0
    assert "rank: 4\n" in call("train", "--config", file, "--rank", 4, "--show-config").stdout
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_there_is_neither_replaced_nor_mixed(call, run, tmp_path, tiny, graph_options):
    folder, _ = run
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    common = ["train", *graph_options, *tiny, "--seed", 4, "--out", folder]
    for more, message in (
        ([], "holds a run; --resume goes on with it, --overwrite starts it anew"),
        (["--resume", "--overwrite"], "expected one of them, got both"),
        (["--resume", "--set", "gamma=1"], "has gamma=2.0, got 1.0"),
        (["--resume", "--seed", "5"], "has seed=4, got 5"),
    ):
        result = call(*common, *more)
        assert result.exit_code == 2
        assert message in result.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_finished_run_is_not_trained_again(call, graph_options, tiny, tmp_path):
    out = tmp_path / "run"
    first = call("train", *graph_options, *tiny, "--out", out)
    history = (out / "history.jsonl").read_text()
    again = call("train", "--out", out, "--resume")
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert (out / "history.jsonl").read_text() == history
    assert "epoch" not in again.stderr.replace("epochs", "")
    more = call("train", "--out", out, "--resume", "--compare")  # what is missing is trained, and nothing else
    assert "CE-only" in more.stdout
    assert "ce_only: epoch 2" in more.stderr
    assert "student: epoch" not in more.stderr
    anew = call("train", *graph_options, *tiny, "--out", out, "--overwrite", "--seed", 9)
    assert anew.exit_code == 0
    assert json.loads((out / "results.json").read_text())["seed"] == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "EmojiWord"], "dataset: .* did you mean 'EmojiWorld'"),
        (["--set", "gama=1"], "gama: unknown option; did you mean 'gamma'"),
        (["--set", "gamma"], "--set: expected name=value, got 'gamma'"),
        (["--set", "student_fit.lr=fast"], "student_fit.lr: expected float, got str 'fast'"),
        (["--rank", "0"], "rank: expected a positive number, got 0"),
        (["--epochs", "0"], "epochs: expected a positive number, got 0"),
        (["--tracker", "excel"], "--tracker: expected one of .*, got 'excel'"),
        (["--config", "nowhere.yaml"], "--config: 'nowhere.yaml' cannot be read"),
        (["--dataset", "EmojiWorld", "--root", "here", "--text-encoder", "minilmm"], "did you mean 'minilm'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    result = call("train", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(result.stderr)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, call, tiny):
    (tmp_path / "cat.txt").write_text("cat")
    for more in ([], ["--resume"], ["--overwrite"]):
        result = call("train", "--out", tmp_path, *tiny, *more)
        assert result.exit_code == 2
        assert "holds something else" in result.stderr
    assert os.listdir(tmp_path) == ["cat.txt"]


def test_a_folder_of_facts_becomes_answers_in_two_commands(tmp_path, monkeypatch, call):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "mine"
    folder.mkdir()
    ring = "".join(f"e{i}\tnear\te{(i + s) % 30}\n" for i in range(30) for s in (1, 2, 5))
    (folder / "train.tsv").write_text(ring, encoding="utf-8")
    small = ["--epochs", 2, "--rank", 4, "--set", "teacher_fit.epochs=2"]
    assert call("train", "--dataset", folder, *small, "--out", tmp_path / "run").exit_code == 0
    answers = call("predict", "--run", tmp_path / "run", "--head", "e3", "--relation", "near", "-k", 2)
    assert answers.stdout.count("(e") == 2


def test_what_is_recommended_for_a_dataset_lies_below_the_file(call, tmp_path, monkeypatch):
    from torch_geometric_dsom.trainer.recommended import RECOMMENDED

    monkeypatch.setitem(RECOMMENDED, "WN9", {"rank": 7, "student_fit": {"lr": 0.2, "n3": 0.3}})
    (tmp_path / "a.yaml").write_text("student_fit:\n  n3: 0.4\n", encoding="utf-8")
    options = ["train", "--config", tmp_path / "a.yaml", "--show-config", "--json"]
    values = json.loads(call(*options, "--dataset", "WN9").stdout)
    assert (values["rank"], values["student_fit"]["lr"], values["student_fit"]["n3"]) == (7, 0.2, 0.4)
    assert json.loads(call(*options, "--dataset", "WN18").stdout)["rank"] == 100


def test_students_of_other_runs_teach(call, run, graph_options, tiny, tmp_path):
    folder, _ = run
    out = tmp_path / "next"
    arguments = ["train", *graph_options, *tiny, "--taught-by", folder, "--taught-by", folder / "model", "--out", out]
    first = call(*arguments)
    assert first.exit_code == 0, first.output
    rows = json.loads((out / "results.json").read_text())["test"]["rows"]
    assert list(rows) == ["teacher: structure", "teacher: fused", "DSoM student"]
    before = json.loads((folder / "results.json").read_text())["test"]["rows"]["DSoM student"]["metrics"]
    assert rows["teacher: structure"]["metrics"] == before  # the same student twice, side by side
    assert json.loads((out / "config.json").read_text())["taught_by"] == [str(folder), str(folder / "model")]
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert {record["phase"] for record in history} == {"student"}
    again = call("train", "--out", out, "--resume")
    assert again.exit_code == 0, again.output
    assert again.stdout == first.stdout
    assert "student: epoch" not in again.stderr


def test_those_who_teach_are_calibrated_where_that_is_asked_for(call, run, graph_options, tiny, tmp_path):
    told = {}
    for name, more in (("plain", []), ("calibrated", ["--set", "calibrate=true", "--set", "rule_weight=1"])):
        arguments = ["train", *graph_options, *tiny, *more, "--taught-by", run[0], "--out", tmp_path / name]
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        told[name] = DSoMTrainer.load(tmp_path / name / "model").teachers["fused"]
    plain, calibrated = told["plain"], told["calibrated"]
    assert plain.temperature == 1.0
    assert calibrated.temperature != 1.0
    asked = torch.arange(10), torch.arange(10) % 3
    expected = plain.score_tails(*asked) / calibrated.temperature
    torch.testing.assert_close(calibrated.score_tails(*asked), expected)


def test_who_cannot_teach_is_named(call, run, graph_options, tiny, tmp_path):
    folder, out = run[0], tmp_path / "next"
    for more, message in (
        (["--taught-by", tmp_path / "nowhere"], "nowhere"),
        (["--taught-by", folder, "--set", "crossfit=2"], "students know all training facts, got crossfit=2"),
        (["--taught-by", folder, "--dataset", "EmojiWorld"], "the student knows 60 of kind entity, got "),
    ):
        result = call("train", *graph_options, *tiny, *more, "--out", out)
        assert result.exit_code == 2, result.output
        assert message in result.stderr.splitlines()[-1]
        assert not out.exists()
