import math
import statistics

import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import standardize_logits


def logits(rows=4, entities=7):
    return torch.randn(rows, entities, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_equals_a_loop(eps):
    found = standardize_logits(logits(), eps)
    for row, values in zip(found.tolist(), logits().tolist(), strict=True):
        mean, variance = statistics.fmean(values), statistics.pvariance(values)
        expected = [(v - mean) / math.sqrt(variance + eps**2) for v in values]
        assert row == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_gradients_are_checked():
    assert torch.autograd.gradcheck(standardize_logits, (logits().requires_grad_(),))


def test_equal_logits_stay_finite_with_their_gradient():
    equal = torch.ones(2, 5, requires_grad=True)
    standardize_logits(equal).square().sum().backward()
    assert equal.grad.isfinite().all()


def test_half_floats_do_not_overflow():
    half = torch.tensor([[-300.0, 300.0]], dtype=torch.float16, requires_grad=True)
    found = standardize_logits(half)
    assert found.tolist() == [[-1.0, 1.0]]
    found.sum().backward()
    assert half.grad.dtype == torch.float16
    assert half.grad.isfinite().all()


def test_bad_eps_is_named():
    with pytest.raises(ConfigError, match="eps: expected a positive number, got 0"):
        standardize_logits(logits(), eps=0.0)
