"""Accelerate wraps a scorer and the loss as they are."""

import importlib.util
from pathlib import Path

import pytest

accelerate = pytest.importorskip("accelerate")

spec = importlib.util.spec_from_file_location("loop", Path(__file__).parent / "loop.py")
loop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loop)


def test_a_wrapped_loop_does_what_the_plain_one_does():
    accelerator = accelerate.Accelerator(cpu=True)
    loop.assert_like_plain(loop.run(accelerator.prepare, accelerator.backward))
