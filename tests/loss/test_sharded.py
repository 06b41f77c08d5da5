"""The loss over dealt out entities is that over all of them."""

import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.loss import (
    ShardedView,
    grouped_cross_entropy_,
    mixed_kd_gradient_,
    mixed_kd_loss,
    mixed_kd_weights,
    sharded_cross_entropy_,
    sharded_softmax_,
    sharded_view,
    soft_labels,
    view_student,
)

N, Q, K = 11, 4, 2
G = torch.Generator().manual_seed(0)
ROW, TARGET = torch.tensor([0, 0, 1, 2, 3]), torch.tensor([1, 10, 3, 4, 0])
MIXTURE = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 0.0], [0.5, 0.5]])


def setting(scale):
    student, teachers = scale * torch.randn(Q, N, generator=G), scale * torch.randn(K, Q, N, generator=G)
    mask = torch.rand(Q, N, generator=G) < 0.4
    mask[2], mask[3] = False, True  # an empty group, and one of everything
    mask[0, :4] = True  # all entities of the first of three processes
    row, entity = mask.nonzero().T
    return student, teachers, GroupRows(row, entity, Q)


def cut(groups, shard):
    mine, column = shard.local(groups.entity)
    return GroupRows(groups.row[mine], column[mine], groups.num_rows)


@pytest.mark.parametrize("form", [(1.0, 2.0, None), (None, 1.0, 0.5)])
@pytest.mark.parametrize(("temperature", "scale"), [(1.0, 1.0), (2.0, 60.0)])
def test_value_and_gradient_of_the_decoupled_loss(together, form, temperature, scale):
    student, teachers, groups = setting(scale)
    labels = soft_labels(teachers.clone().transpose(0, 1), groups, temperature)
    view = view_student(student.clone(), labels)
    weights = mixed_kd_weights(labels, ROW, MIXTURE, *form)
    expected = mixed_kd_loss(view, labels, ROW, weights)
    log_prob = view.log_prob(ROW, TARGET)
    gradient = mixed_kd_gradient_(view, labels, ROW, weights, 3.0, torch.ones(Q))

    def run(world):
        shard = Shard.of(N, world)
        prob = sharded_softmax_(teachers[:, :, shard.rows].clone().div_(temperature), shard)[0].transpose(0, 1)
        own = student[:, shard.rows].clone()
        columns = shard.local(TARGET)
        view, labels = sharded_view(own, prob, cut(groups, shard), temperature, shard, (ROW, TARGET), columns)
        assert isinstance(view, ShardedView)
        weights = mixed_kd_weights(labels, ROW, MIXTURE, *form)
        assert torch.allclose(mixed_kd_loss(view, labels, ROW, weights), expected, rtol=1e-5, atol=1e-5)
        assert torch.allclose(view.log_prob(ROW.flip(0), TARGET.flip(0)), log_prob.flip(0), rtol=1e-5, atol=1e-5)
        return mixed_kd_gradient_(view, labels, ROW, weights, 3.0, torch.ones(Q))

    for size in (1, 2, 3):
        found = torch.cat(together(size, run), dim=1)
        assert torch.isfinite(found).all()
        assert torch.allclose(found, gradient, rtol=1e-4, atol=1e-5)


def test_softmax_with_and_without_the_sums(together):
    logits = 30 * torch.randn(Q, N, generator=G)
    expected = logits.softmax(dim=-1)

    def run(world):
        shard = Shard.of(N, world)
        prob, norm = sharded_softmax_(logits[:, shard.rows].clone(), shard)
        again, same = sharded_softmax_(logits[:, shard.rows].clone(), shard, norm)
        assert same is norm
        assert torch.allclose(again, prob, rtol=1e-4, atol=1e-12)
        assert torch.allclose(norm, logits.logsumexp(dim=-1))
        return prob

    assert torch.allclose(torch.cat(together(3, run), dim=1), expected, rtol=1e-5, atol=1e-12)


def test_cross_entropy(together):
    scores = 20 * torch.randn(Q, N, generator=G)
    gradient = scores.clone()
    expected = grouped_cross_entropy_(gradient, ROW, TARGET, scale=2.0)

    def run(world):
        shard = Shard.of(N, world)
        own = scores[:, shard.rows].clone()
        value = sharded_cross_entropy_(own, ROW, TARGET, shard, shard.local(TARGET), 2.0)
        assert torch.allclose(value, expected)
        return own

    assert torch.allclose(torch.cat(together(2, run), dim=1), gradient, atol=1e-6)
