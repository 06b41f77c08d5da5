"""What a training loop of one's own needs, over a scorer and the decoupled loss, whatever wraps the model."""

import pytest
import torch
from torch import nn

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.datasets import FakeMMKG
from torch_geometric_dsom.loss import grouped_cross_entropy, neighbor_decoupled_kd_loss
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.sampler import QuerySampler


class Distilled(nn.Module):
    """The loss of a batch, so that a wrapper sees a forward pass."""

    def __init__(self, student, teacher, index):
        super().__init__()
        self.student = student
        self.teacher = teacher.requires_grad_(False)
        self.index = index

    def forward(self, batch):
        scores = self.student.score_tails(batch.head, batch.relation)
        groups = self.index.rows(batch.head, batch.relation)
        soft = self.teacher.score_tails(batch.head, batch.relation)
        return grouped_cross_entropy(scores, batch.row, batch.target) + neighbor_decoupled_kd_loss(scores, soft, groups)


def setting(share=(0, 1)):
    """Model, optimiser and batches, of which a process takes its share."""
    data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
    make = torch.Generator().manual_seed
    student, teacher = (ComplEx(60, 2, rank=4, init_scale=0.3, generator=make(seed)) for seed in (0, 1))
    model = Distilled(student, teacher, NeighborIndex(data))
    optimizer = torch.optim.Adagrad(student.parameters(), lr=0.1)
    return model, optimizer, QuerySampler(data, batch_size=32, max_facts=1, shuffle=False, share=share)


def run(wrap=lambda model, optimizer: (model, optimizer), backward=torch.Tensor.backward, steps=4):
    """A few steps of the loop; the losses and what became of the entity table.

    Args:
        wrap (callable): What makes another model and optimiser of them; nothing by default.
        backward (callable): What takes the gradient of a loss.
        steps (int): How many.
    """
    inner, optimizer, batches = setting()
    model, optimizer = wrap(inner, optimizer)
    losses = []
    for batch, _ in zip(batches, range(steps), strict=False):
        optimizer.zero_grad()
        loss = model(batch)
        backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses, inner.student.entity.detach()


def assert_like_plain(found):
    """Losses and table of a wrapped loop are those of one without a wrapper, which learns."""
    losses, entity = found
    expected, table = run()
    assert losses == pytest.approx(expected, rel=1e-6)
    assert torch.allclose(entity, table, atol=1e-6)
    assert losses[-1] < losses[0]
