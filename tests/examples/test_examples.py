import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs an example as a program, in this process, for imports take longer than most of them; gives its output."""
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where Python looks first, had it been called with the file

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with torch.random.fork_rng():
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_emoji_world(run, tmp_path):
    shown = run("emoji_world.py", "--epochs", "1", "--rank", "8", "--root", str(tmp_path))
    assert "DSoM student" in shown
    assert "territory:CH, official_language:" in shown
    assert len(re.findall(r"^  [123]\. .+  0\.\d+", shown, re.M)) == 6


@pytest.mark.parametrize("name", ["distil_into_pyg.py", "distil_into_pykeen.py"])
def test_forty_lines_put_the_loss_into_another_librarys_model(run, name):
    if "pykeen" in name:
        pytest.importorskip("pykeen")
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 40
    shown = run(name, "--epochs", "2", "--rank", "16")
    plain, distilled = (float(x) for x in re.findall(r"gamma \S+: test MRR (0\.\d+)", shown))
    assert distilled > plain > 0  # the loss changes the model, for the better from the first epochs on


def test_own_graph(run, tmp_path):
    """What no fact tells and pictures show: the student without teachers cannot know it, the distilled one does."""
    shown = run("own_graph.py", "--folder", str(tmp_path / "figures"), "--epochs", "20")
    assert "50 pictures" in shown
    plain, distilled = (float(re.search(rf"^{name} student +(0\.\d+)", shown, re.M)[1]) for name in ("CE-only", "DSoM"))
    assert plain < 0.2 < distilled
    assert len(re.findall(r"^figure \d\d, has colour: \w+  0\.\d+$", shown, re.M)) == 3
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "images",
        "test.tsv",
        "train.tsv",
        "valid.tsv",
    ]


def test_own_encoder(run):
    shown = run("own_encoder.py", "--epochs", "2")
    assert "x_image [50, 432], of 50 entities" in shown
    assert "x_text [50, 26], of 40 entities" in shown
    assert re.search(r"test MRR 0\.\d+", shown)


def test_own_teacher(run):
    shown = run("own_teacher.py", "--epochs", "1", "--rank", "8")
    assert float(re.search(r"teacher neighbours: test MRR (0\.\d+)", shown)[1]) > 0.25  # it needs no training
    assert len(re.findall(r"^student of .*: test MRR 0\.\d+$", shown, re.M)) == 2
    assert re.search(r"neighbours are chosen for \d+ %", shown)


def test_guides(run):
    shown = run("guides.py", "--epochs", "2", "--rank", "16")
    mrr = dict(re.findall(r"^(.+): test MRR (0\.\d+)$", shown, re.M))
    assert float(mrr["all together"]) > max(float(mrr[name]) for name in ("student", "rules"))
    assert len(re.findall(r"^.+ => has keyword, \d+ %$", shown, re.M)) == 3


def test_paths(run):
    shown = run("paths.py", "--epochs", "2", "--rank", "16", "--path-epochs", "1", "--dim", "8", "--layers", "2")
    mrr = {name: float(value) for name, value in re.findall(r"^(.+): test MRR (0\.\d+)$", shown, re.M)}
    assert mrr["together"] > max(mrr["student"], mrr["paths"]) > 0.05
    assert re.search(r"^  \S.* (-\[.+\]->|<-\[.+\]-) .+$", shown, re.M)


def test_generations(run):
    shown = run("generations.py", "--epochs", "1", "--rank", "8")
    mrr = {name: float(value) for name, value in re.findall(r"^(.+): test MRR (0\.\d+)$", shown, re.M)}
    alone = [mrr[f"first generation, seed {seed}"] for seed in (1, 2)]
    assert mrr["both students, fused"] > mrr["both students, structure"] > min(alone)
    assert mrr["second generation"] > max(alone)  # the next one is ahead of both that teach it


@pytest.mark.parametrize("gradient", ["exact", "reinforce"])
def test_selector_alone(run, gradient):
    shown = run("selector_alone.py", "--gradient", gradient)
    assert shown.splitlines()[-4:] == [*(f"topic {i}: adviser {i}" for i in range(3)), "topic 3: nobody"]


def test_resume(run):
    shown = run("resume.py", "--epochs", "4")
    assert "interrupted, student: stopped, saved in <folder>" in shown
    assert "same bits: True" in shown


def test_search(run):
    pytest.importorskip("optuna")
    shown = run("search.py", "--trials", "2", "--epochs", "1")
    assert re.search(r"best validation MRR 0\.\d+ with \{'gamma': ", shown)


def test_share_student(run, tmp_path):
    shown = run("share_student.py", "--epochs", "1", "--rank", "8", "--out", str(tmp_path / "shared"))
    answers = re.findall(r"^(?:Student.load|torch.export|NumPy): (.+)$", shown, re.M)
    assert len(answers) == 3
    assert len(set(answers)) == 1
    names = {path.name for path in (tmp_path / "shared").iterdir()}
    assert names == {"student", "student.pt2", "vectors.npz", "vectors.tsv", "vectors.metadata.tsv", "vectors.txt"}


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in text, path


NOTEBOOK = EXAMPLES / "quickstart.ipynb"


def cells(kind):
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def test_the_notebook_has_outputs():
    assert NOTEBOOK.stat().st_size < 500_000
    outputs = [output for cell in cells("code") for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = "".join(line for output in outputs for line in output.get("text", []))
    assert "DSoM student" in text
    assert "test MRR 0." in text
    assert [cell["execution_count"] for cell in cells("code")] == list(range(1, len(cells("code")) + 1))


def test_the_code_of_the_notebook_runs(tmp_path, monkeypatch):
    """As it stands, but for the sizes."""
    monkeypatch.setenv("DSOM_HOME", str(tmp_path))
    code = ["".join(cell["source"]) for cell in cells("code")]
    sizes = re.sub(r"(= )\d+, \d+, \d+", r"\g<1>1, 4, 8", code[0])
    assert sizes != code[0]
    names = {}
    for block in [sizes, *code[1:]]:
        exec(block, names)
    assert names["student"].evaluate(names["data"]).count == 2228


def test_the_folder_alone_can_be_drawn(tmp_path):
    """As the README does it, as a program of its own."""
    command = [sys.executable, str(EXAMPLES / "own_graph.py"), "--folder", str(tmp_path / "figures"), "--draw-only"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures" / "train.tsv").is_file()
    assert len(list((tmp_path / "figures" / "images").iterdir())) == 50


def test_distributed(run, tmp_path):
    """On one process here; on several in tests/distributed."""
    shown = run("distributed.py", "--epochs", "1", "--save", str(tmp_path / "saved"))
    assert "1 process(es), shared by nothing" in shown
    assert re.search(r"loss \d+\.\d+, test MRR 0\.\d+ of 664 queries", shown)
    assert (tmp_path / "saved" / "manifest.json").is_file()


def test_on_a_gpu(run):
    before = torch.get_float32_matmul_precision()
    shown = run("on_a_gpu.py", "--epochs", "2", "--rank", "8")
    assert float(re.search(r"test MRR (0\.\d+)$", shown.strip())[1]) > 0.05
    assert torch.get_float32_matmul_precision() == before == "highest"
