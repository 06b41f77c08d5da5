"""What a training loop of one's own needs, over a scorer and the decoupled loss, whatever wraps the model."""

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


def plain(steps=4):
    """The loop without a wrapper."""
    model, optimizer, batches = setting()
    losses = []
    for batch, _ in zip(batches, range(steps), strict=False):
        optimizer.zero_grad()
        loss = model(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.student.entity.detach()
