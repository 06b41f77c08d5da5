import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.loss.parted import part_logits


def test_sums_inside_and_outside_of_each_group():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0], [5.0, 5.0, 5.0]])
    groups = GroupRows(torch.tensor([0, 1, 1, 1]), torch.tensor([1, 0, 1, 2]), 3)
    before = logits.clone()
    parted = part_logits(logits, groups)
    assert torch.equal(logits, before)
    assert torch.allclose(parted.log_all, logits.logsumexp(-1))
    assert torch.allclose(parted.log_near, torch.tensor([2.0, logits[1].logsumexp(-1).item(), 0.0]))
    assert torch.allclose(
        parted.log_rest[[0, 2]], torch.stack([logits[0, [0, 2]].logsumexp(-1), logits[2].logsumexp(-1)])
    )
    assert parted.whole.tolist() == [False, True, False]
    assert parted.empty.tolist() == [False, False, True]
    expected = logits[0, [0, 2]].softmax(-1)
    assert torch.allclose(parted.outside[0], torch.tensor([expected[0], 0.0, expected[1]]))
