"""Memory is flat after the tenth epoch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "reliability" / "soak.py"


@pytest.mark.slow
def test_two_hundred_epochs_with_evaluation():
    shown = subprocess.run([sys.executable, SOAK], capture_output=True, text=True, check=True, cwd=SOAK.parents[2])
    found = json.loads(shown.stdout)
    assert found["epochs"] == 200
    assert found["growth"] < 0.05
    assert found["growth_second_half"] < 0.01
