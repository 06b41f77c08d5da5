import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_emoji_world(tmp_path):
    shown = run("emoji_world.py", "--epochs", "1", "--rank", "8", "--root", str(tmp_path))
    assert "DSoM student" in shown
    assert "territory:CH, official_language:" in shown
    assert len(re.findall(r"^  [123]\. .+  0\.\d+", shown, re.M)) == 6


@pytest.mark.parametrize("name", ["distil_into_pyg.py", "distil_into_pykeen.py"])
def test_forty_lines_put_the_loss_into_another_librarys_model(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path))
    if "pykeen" in name:
        pytest.importorskip("pykeen")
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 40
    shown = run(name, "--epochs", "2", "--rank", "16")
    plain, distilled = (float(x) for x in re.findall(r"gamma \S+: test MRR (0\.\d+)", shown))
    assert distilled > plain > 0  # the loss changes the model, for the better from the first epochs on
