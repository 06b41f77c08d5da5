import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import ListwiseKDLoss, listwise_kd_loss


def batch(rows=6, entities=9, seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(rows, entities, generator=g, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(rows, entities, generator=g) < 0.5
    mask[0], mask[1], mask[2] = False, True, torch.arange(entities) == 3
    return student, teacher, mask


def by_hand(student, teacher, mask, alpha, beta, tau, k):
    losses = []
    for z_s, z_t, group in zip((student / tau).tolist(), teacher.tolist(), mask.tolist(), strict=True):
        total = 0.0
        for inside, given_weight in ((True, alpha), (False, beta)):
            left = [j for j, in_group in enumerate(group) if in_group == inside]
            order = sorted(left, key=lambda j: -z_t[j])[:k]
            part = 0.0
            for j in order:
                top = max(z_s[i] for i in left)
                part -= z_s[j] - top - math.log(math.fsum(math.exp(z_s[i] - top) for i in left))
                left.remove(j)
            total += given_weight * part / max(len(order), 1)
        losses.append(tau**2 * total)
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("alpha", "beta", "tau", "k"), [(1.0, 1.0, 1.0, 3), (0.3, 2.0, 4.0, 1), (1.0, 1.0, 1.0, 20)])
def test_equals_a_loop_with_and_without_groups(seed, alpha, beta, tau, k):
    student, teacher, mask = batch(seed=seed)
    expected = by_hand(student, teacher, mask, alpha, beta, tau, k)
    for groups in (mask, GroupRows(*mask.nonzero(as_tuple=True), 6)):
        got = listwise_kd_loss(student, teacher, groups, alpha, beta, tau, reduction="none", k=k)
        assert torch.allclose(got, expected, atol=1e-10)
    everything = by_hand(student, teacher, torch.ones_like(mask), alpha, beta, tau, k)
    got = listwise_kd_loss(student, teacher, None, alpha, beta, tau, reduction="none", k=k)
    assert torch.allclose(got, everything, atol=1e-10)


def test_gradients_are_checked():
    student, teacher, mask = batch(rows=4, entities=6)
    student.requires_grad_()
    for groups in (None, mask, GroupRows(*mask.nonzero(as_tuple=True), 4)):
        assert torch.autograd.gradcheck(
            lambda s, groups=groups: listwise_kd_loss(s, teacher, groups, 0.7, 1.3, 2.0, k=3), (student,)
        )


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_invariances(seed):
    student, teacher, mask = batch(seed=seed)
    loss = listwise_kd_loss(student, teacher, mask, k=3, reduction="none")
    assert (loss >= -1e-12).all()
    # Only the teacher's order matters, and no offset of the student.
    same = listwise_kd_loss(student + 5.0, teacher.exp(), mask, k=3, reduction="none")
    assert torch.allclose(loss, same, atol=1e-9)
    assert torch.allclose(loss, listwise_kd_loss(student, teacher, ~mask, k=3, reduction="none"), atol=1e-12)


def test_one_place_is_the_cross_entropy_of_the_teachers_best():
    student, teacher, _ = batch()
    expected = torch.nn.functional.cross_entropy(student, teacher.argmax(-1))
    assert listwise_kd_loss(student, teacher, k=1).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_stays_finite_for_extreme_logits(scale, dtype):
    student, teacher, mask = batch(entities=300, scale=scale)
    student, teacher = student.to(dtype).requires_grad_(), teacher.to(dtype)
    for groups in (None, mask, GroupRows(*mask.nonzero(as_tuple=True), 6)):
        loss = listwise_kd_loss(student, teacher, groups)
        assert loss.isfinite()
        assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_module_is_the_function_and_bad_arguments_are_named():
    student, teacher, mask = batch()
    module = ListwiseKDLoss(0.5, 2.0, 3.0, "sum", 4)
    weight = torch.arange(6.0)
    expected = listwise_kd_loss(student, teacher, mask, 0.5, 2.0, 3.0, weight, "sum", 4)
    assert module(student, teacher, mask, weight).item() == expected.item()
    assert repr(module) == "ListwiseKDLoss(alpha=0.5, beta=2.0, k=4, temperature=3.0, reduction='sum')"
    with pytest.raises(ConfigError, match="k: expected"):
        ListwiseKDLoss(k=0)
    with pytest.raises(ConfigError, match="k: expected"):
        listwise_kd_loss(student, teacher, k=0)
    with pytest.raises(ConfigError, match="temperature"):
        ListwiseKDLoss(temperature=-1.0)
