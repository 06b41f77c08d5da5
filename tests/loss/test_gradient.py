import pytest
import torch

from torch_geometric_dsom.loss import with_gradient


def test_the_given_gradient_is_carried_on():
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    loss = with_gradient(torch.tensor(7.0), [(x * 2, torch.tensor([5.0, 6.0])), (y, torch.tensor([4.0]))])
    assert loss.item() == 7.0
    (3 * loss + y.sum()).backward()
    assert x.grad.tolist() == [30.0, 36.0]  # 5 and 6, times 2 for x * 2, times 3
    assert y.grad.tolist() == [13.0]


def test_gradients_are_handed_on_once():
    x = torch.ones(1, requires_grad=True)
    loss = with_gradient(torch.tensor(1.0), [(x, torch.ones(1))])
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="expected one pass"):
        loss.backward()
