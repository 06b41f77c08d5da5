import statistics

import pytest
import torch

from torch_geometric_dsom.loss import standardize_logits


def test_equals_a_loop():
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = standardize_logits(logits)
    for row, values in zip(found.tolist(), logits.tolist(), strict=True):
        mean, deviation = statistics.fmean(values), statistics.pstdev(values)
        assert row == pytest.approx([(v - mean) / deviation for v in values], rel=1e-5)


def test_equal_logits_stay_finite_with_their_gradient():
    logits = torch.ones(2, 5, requires_grad=True)
    standardize_logits(logits).square().sum().backward()
    assert logits.grad.isfinite().all()
