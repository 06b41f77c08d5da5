"""Accelerate wraps a scorer and the loss as they are."""

import importlib.util
from pathlib import Path

import pytest
import torch

accelerate = pytest.importorskip("accelerate")

spec = importlib.util.spec_from_file_location("loop", Path(__file__).parent / "loop.py")
loop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loop)


def test_a_wrapped_loop_does_what_the_plain_one_does():
    accelerator = accelerate.Accelerator(cpu=True)
    inner, optimizer, batches = loop.setting()
    model, optimizer = accelerator.prepare(inner, optimizer)
    losses = []
    for batch, _ in zip(batches, range(4), strict=False):
        optimizer.zero_grad()
        loss = model(batch)
        accelerator.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    expected, entity = loop.plain()
    assert losses == pytest.approx(expected, rel=1e-6)
    assert torch.allclose(inner.student.entity, entity, atol=1e-6)
    assert losses[-1] < losses[0]
