import math

import pytest
import torch

from torch_geometric_dsom.nn.path_layer import Pairs, PathLayer


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_a_step_by_hand():
    """Two entities send, one of them twice; every number of width one."""
    layer = PathLayer(dim=1, num_kinds=2, attention_dim=1)
    with torch.no_grad():
        for part, value in ((layer.source, 2.0), (layer.kind, -1.0), (layer.asked, 0.5), (layer.attention, 3.0)):
            part.weight.fill_(value)
        layer.asked.bias.fill_(0.25)
        layer.attention.bias.fill_(-1.0)
        layer.message.weight.fill_(10.0)
        layer.relation.copy_(torch.tensor([[1.0], [-4.0]]))
    reached = Pairs(torch.tensor([0, 1]), torch.tensor([7, 8]), torch.tensor([[0.5], [2.0]]))
    query = torch.tensor([[1.0], [-1.0]])
    place, kind, target = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0])
    told, weight = layer(reached, query, place, kind, target, 3)
    # source + asked of the own query + kind, cut at zero; 2 * 0.5 + 0.75 - 1, 4 - 0.25 - 1, 4 - 0.25 + 4
    expected = [sigmoid(3 * hidden - 1) for hidden in (0.75, 2.75, 7.75)]
    assert weight.tolist() == pytest.approx(expected)
    assert told.flatten().tolist() == pytest.approx([0.0, 10 * (1.5 * expected[0] + 3.0 * expected[1]), 0.0])
