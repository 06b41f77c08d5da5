import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import DISTLoss, dist_loss


def batch(rows=6, entities=9, seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(rows, entities, generator=g, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(rows, entities, generator=g) < 0.5
    mask[0], mask[1], mask[2] = False, True, torch.arange(entities) == 3
    return student, teacher, mask


def softmax(values):
    e = [math.exp(v - max(values)) for v in values]
    return [v / math.fsum(e) for v in e]


def distance(x, y):
    """One minus the correlation, by the standard library; zero where it is not defined."""
    return 1.0 - statistics.correlation(x, y) if len(x) > 1 else 0.0


def by_hand(student, teacher, mask, alpha, beta, tau):
    losses = []
    for z_s, z_t, group in zip((student / tau).tolist(), (teacher / tau).tolist(), mask.tolist(), strict=True):
        total = 0.0
        for inside, given_weight in ((True, alpha), (False, beta)):
            members = [j for j, in_group in enumerate(group) if in_group == inside]
            if members:
                total += given_weight * distance(*(softmax([z[j] for j in members]) for z in (z_s, z_t)))
        losses.append(tau**2 * total)
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("alpha", "beta", "tau"), [(1.0, 1.0, 1.0), (0.3, 2.0, 4.0)])
def test_equals_a_loop_with_and_without_groups(seed, alpha, beta, tau):
    student, teacher, mask = batch(seed=seed)
    expected = by_hand(student, teacher, mask, alpha, beta, tau)
    for groups in (mask, GroupRows(*mask.nonzero(as_tuple=True), 6)):
        got = dist_loss(student, teacher, groups, alpha, beta, tau, reduction="none")
        assert torch.allclose(got, expected, atol=1e-10)
    everything = by_hand(student, teacher, torch.ones_like(mask), alpha, beta, tau)
    assert torch.allclose(dist_loss(student, teacher, None, alpha, beta, tau, reduction="none"), everything, atol=1e-10)


def test_intra_class_term_correlates_the_batch():
    student, teacher, mask = batch()
    p_s, p_t = student.softmax(-1).T.tolist(), teacher.softmax(-1).T.tolist()
    expected = sum(distance(x, y) for x, y in zip(p_s, p_t, strict=True)) / 9
    got = dist_loss(student, teacher, mask, intra=0.5) - dist_loss(student, teacher, mask)
    assert got.item() == pytest.approx(0.5 * expected)
    with pytest.raises(ConfigError, match="reduction"):
        dist_loss(student, teacher, mask, reduction="none", intra=0.5)


def test_gradients_are_checked():
    student, teacher, mask = batch(rows=4, entities=6)
    student.requires_grad_(), teacher.requires_grad_()
    for groups in (None, mask, GroupRows(*mask.nonzero(as_tuple=True), 4)):
        assert torch.autograd.gradcheck(
            lambda s, t, groups=groups: dist_loss(s, t, groups, 0.7, 1.3, 2.0, intra=0.4), (student, teacher)
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("entities", [3, 7, 10, 100, 1000])
def test_what_does_not_vary_counts_as_zero(dtype, entities):
    """Also where the mean of equal probabilities is not, by rounding, their value."""
    g = torch.Generator().manual_seed(0)
    student, teacher = torch.zeros(3, entities, dtype=dtype), torch.randn(3, entities, generator=g, dtype=dtype)
    mask = torch.rand(3, entities, generator=g) < 0.5
    for one, other in ((student, teacher), (teacher, student)):
        one = one.clone().requires_grad_()
        for groups in (None, mask, GroupRows(*mask.nonzero(as_tuple=True), 3)):
            loss = dist_loss(one, other, groups, intra=0.5)
            assert loss.item() == 0.0
            assert torch.autograd.grad(loss, one)[0].abs().max() == 0.0
    alike = torch.randn(1, entities, generator=g, dtype=dtype).expand(3, entities)  # does not vary down the batch
    assert dist_loss(alike, teacher, intra=0.5).item() == dist_loss(alike, teacher).item()


def test_a_single_query_has_no_intra_class_term():
    student, teacher, mask = (x[3:4] for x in batch())
    assert dist_loss(student, teacher, mask, intra=0.5).item() == dist_loss(student, teacher, mask).item()


@given(st.integers(0, 10**6), st.floats(0.2, 5.0))
@settings(max_examples=40, deadline=None)
def test_invariances(seed, tau):
    student, teacher, mask = batch(seed=seed)
    loss = dist_loss(student, teacher, mask, temperature=tau, reduction="none")
    assert ((loss >= -1e-9) & (loss <= 4 * tau**2 + 1e-9)).all()
    shifted = dist_loss(student + 3.0, teacher - 2.0, mask, temperature=tau, reduction="none")
    assert torch.allclose(loss, shifted, atol=1e-8)
    assert dist_loss(teacher, teacher, mask, temperature=tau).abs().item() < 1e-9
    swapped = dist_loss(student, teacher, ~mask, 2.0, 0.5, tau)
    assert torch.allclose(dist_loss(student, teacher, mask, 0.5, 2.0, tau), swapped, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_stays_finite_for_extreme_logits(scale, dtype):
    student, teacher, mask = batch(entities=300, scale=scale)
    student, teacher = student.to(dtype).requires_grad_(), teacher.to(dtype)
    for groups in (None, mask, GroupRows(*mask.nonzero(as_tuple=True), 6)):
        loss = dist_loss(student, teacher, groups, intra=1.0)
        assert loss.isfinite()
        assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_module_is_the_function_and_bad_arguments_are_named():
    student, teacher, mask = batch()
    module = DISTLoss(0.5, 2.0, 3.0, "sum", 0.1)
    weight = torch.arange(6.0)
    expected = dist_loss(student, teacher, mask, 0.5, 2.0, 3.0, weight, "sum", 0.1)
    assert module(student, teacher, mask, weight).item() == expected.item()
    assert repr(module) == "DISTLoss(alpha=0.5, beta=2.0, intra=0.1, temperature=3.0, reduction='sum')"
    with pytest.raises(ConfigError, match="temperature"):
        DISTLoss(temperature=0.0)
    with pytest.raises(ConfigError, match="reduction"):
        DISTLoss(reduction="avg")
    with pytest.raises(ConfigError, match="intra: expected .* -1.0"):
        DISTLoss(intra=-1.0)
    with pytest.raises(ConfigError, match="reduction: expected 'mean' or 'sum'"):
        DISTLoss(reduction="none", intra=0.5)
    with pytest.raises(ConfigError, match="groups"):
        module(student, teacher, mask[:3])
