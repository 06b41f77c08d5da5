import re
import subprocess
import sys
from pathlib import Path

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


def test_distil_into_pyg(tmp_path):
    shown = run("distil_into_pyg.py", "--epochs", "2", "--rank", "16", "--hidden", "16", "--root", str(tmp_path))
    plain, distilled = (float(x) for x in re.findall(r"gamma \S+: test MRR (0\.\d+)", shown))
    assert distilled > plain > 0  # the loss changes the model, for the better from the first epochs on
