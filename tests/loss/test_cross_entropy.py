import torch

from torch_geometric_dsom.loss import grouped_cross_entropy


def test_equals_cross_entropy_fact_by_fact_with_its_gradient():
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 7, generator=g, dtype=torch.float64, requires_grad=True)
    row, target = torch.tensor([0, 0, 1, 3, 3, 3]), torch.tensor([2, 5, 0, 6, 1, 1])
    grouped = grouped_cross_entropy(scores, row, target)
    single = torch.nn.functional.cross_entropy(scores[row], target)
    assert torch.allclose(grouped, single)
    gradients = [torch.autograd.grad(loss, scores, retain_graph=True)[0] for loss in (grouped, single)]
    assert torch.allclose(*gradients)
