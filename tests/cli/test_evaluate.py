import json

import pytest


def test_the_metrics_are_those_of_the_run(call, run):
    folder, _ = run
    result = call("evaluate", "--run", folder, "--json")
    rows = json.loads((folder / "results.json").read_text())["test"]["rows"]
    assert json.loads(result.stdout) == rows["DSoM student"]["metrics"]
    result = call("evaluate", "--run", folder, "--model", "ce_only", "--json")
    assert json.loads(result.stdout) == rows["CE-only student"]["metrics"]
    result = call("evaluate", "--run", folder, "--model", "text", "--json")
    assert json.loads(result.stdout) == rows["teacher: text"]["metrics"]
    assert call("evaluate", "--run", folder, "--split", "val").stdout.splitlines()[0].split()[0] == "MRR"


def test_cut_into_parts(call, run):
    folder, _ = run
    shown = json.loads(
        call("evaluate", "--run", folder, "--by", "relation", "--by", "query_modalities", "--json").stdout
    )
    whole = shown["both"]["count"]
    for by in ("relation", "query_modalities"):
        assert sum(part["both"]["count"] for part in shown["by"][by].values()) == whole
    assert "image" in shown["by"]["query_modalities"]
    assert "relation" in call("evaluate", "--run", folder, "--by", "relation").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "degree"], "--by: expected one of"),
        (["--model", "CE"], "--model: expected one of ['student', 'ce_only', 'structure'"),
        (["--split", "tset"], "did you mean 'test'"),
        (["--dataset", "nowhere"], "dataset: expected a folder or one of"),
    ],
)
def test_bad_input(call, run, arguments, message):
    result = call("evaluate", "--run", run[0], *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_that_is_no_run(call, tmp_path):
    result = call("evaluate", "--run", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert "not found" in result.stderr
