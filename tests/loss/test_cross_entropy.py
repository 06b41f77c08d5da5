import pytest
import torch

from torch_geometric_dsom.loss import cross_entropy, grouped_cross_entropy, grouped_cross_entropy_


def test_equals_cross_entropy_fact_by_fact_with_its_gradient():
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 7, generator=g, dtype=torch.float64, requires_grad=True)
    row, target = torch.tensor([0, 0, 1, 3, 3, 3]), torch.tensor([2, 5, 0, 6, 1, 1])
    grouped = grouped_cross_entropy(scores, row, target)
    single = torch.nn.functional.cross_entropy(scores[row], target)
    assert torch.allclose(grouped, single)
    gradients = [torch.autograd.grad(loss, scores, retain_graph=True)[0] for loss in (grouped, single)]
    assert torch.allclose(*gradients)


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("rows", [2, 5])
def test_value_and_gradient_in_place_are_those_of_autograd(scale, size, rows, monkeypatch):
    monkeypatch.setattr(cross_entropy, "CACHED_BYTES", rows * 9 * 4)
    g = torch.Generator().manual_seed(1)
    scores = (size * torch.randn(5, 9, generator=g, dtype=torch.float64)).requires_grad_()
    row, target = torch.tensor([0, 3, 3, 3, 1, 0]), torch.tensor([8, 2, 2, 5, 0, 1])  # rows 2 and 4 without a fact
    expected = grouped_cross_entropy(scores, row, target)
    (gradient,) = torch.autograd.grad(expected, scores)
    found = scores.detach().clone()
    value = grouped_cross_entropy_(found, row, target, scale)
    assert torch.allclose(value, expected, rtol=1e-12)
    assert torch.allclose(found, scale * gradient, rtol=1e-10, atol=1e-14)
