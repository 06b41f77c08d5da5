import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import (
    SoftLabels,
    StudentView,
    mixed_kd_gradient_,
    mixed_kd_loss,
    mixed_kd_weights,
    neighbor_decoupled_kd_loss,
    part_labels,
    soft_labels,
    view_student,
)
from torch_geometric_dsom.sampler import combine_logits, mixture_weights


def batch(seed, dtype=torch.float64, scale=2.0, entities=11):
    g = torch.Generator().manual_seed(seed)
    student = (scale * torch.randn(4, entities, generator=g, dtype=dtype)).requires_grad_()
    teachers = scale * torch.randn(3, 4, entities, generator=g, dtype=dtype)
    mask = torch.rand(4, entities, generator=g) < 0.4
    mask[0], mask[1] = False, True  # an empty group, and one that holds every entity
    row = torch.randint(4, (20,), generator=g)
    action = torch.rand(20, 3, generator=g) < 0.5
    action[0] = False
    return student, teachers, mask, row, action


def both_ways(student, teachers, mask, row, action, alpha, beta, tau, **form):
    """Value and gradient by sums over queries, and those of the plain loss with a row a fact, by autograd."""
    groups = GroupRows(*mask.nonzero(as_tuple=True), 4)
    labels = soft_labels(teachers.transpose(0, 1).clone(), groups, tau)
    mixture = mixture_weights(action.to(student.dtype))
    weights = mixed_kd_weights(labels, row, mixture, alpha, beta, **form)
    view = view_student(student.detach().clone(), labels)
    fast = mixed_kd_loss(view, labels, row, weights), mixed_kd_gradient_(view, labels, row, weights)
    plain = neighbor_decoupled_kd_loss(
        student[row],
        combine_logits(teachers[:, row], action, tau),
        mask[row],
        alpha,
        beta,
        tau,
        weight=(action != 0).any(-1).to(student.dtype),
        **form,
    )
    return fast, (plain.detach(), torch.autograd.grad(plain, student)[0])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("alpha", "beta", "tau"), [(1.0, 1.0, 1.0), (0.5, 4.0, 3.0), (1.0, None, 2.0)])
def test_gradient_is_that_of_the_plain_loss(seed, alpha, beta, tau):
    parts = batch(seed)
    fast, plain = both_ways(*parts, alpha, beta, tau)
    assert torch.allclose(fast[1], plain[1], rtol=1e-10, atol=1e-12)
    shares = torch.rand(20, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * parts[-1]
    fast, plain = both_ways(*parts[:-1], shares, alpha, beta, tau)
    assert torch.allclose(fast[1], plain[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("omega", "alpha", "beta", "tau"), [(1.0, 2.0, 0.5, 2.0), (0.7, None, None, 1.0)])
def test_gradient_of_form_b_is_that_of_the_plain_loss(seed, omega, alpha, beta, tau):
    parts = batch(seed)
    fast, plain = both_ways(*parts, alpha, beta, tau, omega=omega)
    assert torch.allclose(fast[1], plain[1], rtol=1e-10, atol=1e-12)


def test_expectations_and_mixtures_of_soft_labels():
    student, teachers, mask, row, action = batch(5)
    labels = soft_labels(teachers.transpose(0, 1).clone(), GroupRows(*mask.nonzero(as_tuple=True), 4), 2.0)
    values = student.detach()
    prob = (teachers / 2.0).softmax(-1)
    assert torch.allclose(labels.dot(values), (prob * values).sum(-1).T)
    found = labels.mixture_logits(row, mixture_weights(action.double()))
    assert torch.allclose(found, combine_logits(teachers[:, row], action, 2.0))


def test_value_differs_by_a_constant_only():
    student, *rest = batch(0)
    differences = []
    for shift in (0.0, 1.0, -2.0):
        moved = (student.detach() * (1 + shift)).requires_grad_()
        fast, plain = both_ways(moved, *rest, 1.0, 1.0, 2.0)
        differences.append((fast[0] - plain[0]).item())
    assert differences == pytest.approx([differences[0]] * 3, abs=1e-9)


@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_extreme_logits_stay_finite_in_float32(scale):
    parts = batch(1, torch.float32, scale, entities=200)
    fast, _ = both_ways(*parts, 1.0, 1.0, 1.0)
    assert fast[0].isfinite()
    assert fast[1].isfinite().all()
    if scale > 50.0:
        return  # a teacher's mass that float32 rounds to zero counts nothing
    wide = [part.double() if part.is_floating_point() else part for part in parts]
    _, exact = both_ways(wide[0].detach().requires_grad_(), *wide[1:], 1.0, 1.0, 1.0)
    torch.testing.assert_close(fast[1].double(), exact[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_the_dense_part_of_a_cross_entropy_comes_for_free(tau):
    student, teachers, mask, row, action = batch(6)
    labels = soft_labels(teachers.transpose(0, 1).clone(), GroupRows(*mask.nonzero(as_tuple=True), 4), tau)
    weights = mixed_kd_weights(labels, row, mixture_weights(action.double()))
    count = torch.bincount(row, minlength=4) / 20
    alone = mixed_kd_gradient_(view_student(student.detach().clone(), labels), labels, row, weights, 0.7)
    view = view_student(student.detach().clone(), labels)
    both = mixed_kd_gradient_(view, labels, row, weights, 0.7, count)
    expected = alone + count.unsqueeze(-1) * (student.detach() / tau).softmax(-1)
    assert torch.allclose(both, expected, rtol=1e-12, atol=1e-14)


def test_soft_labels_are_parted_probabilities():
    _, teachers, mask, _, _ = batch(2)
    groups = GroupRows(*mask.nonzero(as_tuple=True), 4)
    labels = soft_labels(teachers.transpose(0, 1).clone(), groups, 2.0)
    prob = (teachers / 2.0).softmax(-1)
    assert torch.allclose(labels.rest, (prob * ~mask).transpose(0, 1))
    assert torch.allclose(labels.rest_mass, (prob * ~mask).sum(-1).T)
    assert torch.allclose(labels.near, prob[:, groups.row, groups.entity].T)


def test_the_students_view_is_its_sums():
    student, teachers, mask, _, _ = batch(4)
    groups = GroupRows(*mask.nonzero(as_tuple=True), 4)
    labels = soft_labels(teachers.transpose(0, 1).clone(), groups)
    view = view_student(student.detach().clone(), labels)
    assert isinstance(labels, SoftLabels)
    assert isinstance(view, StudentView)
    prob = teachers.softmax(-1).transpose(0, 1)
    shifted = student.log_softmax(-1).unsqueeze(1)
    assert torch.allclose(view.near, (prob * shifted * mask.unsqueeze(1)).sum(-1))
    assert torch.allclose(view.rest, (prob * shifted * ~mask.unsqueeze(1)).sum(-1))
    assert torch.allclose(view.prob(), student.softmax(-1))
    assert torch.allclose(
        view.log_prob(torch.tensor([2, 0]), torch.tensor([1, 3])), student.log_softmax(-1)[[2, 0], [1, 3]]
    )
    assert torch.allclose(view.log_all, student.logsumexp(-1))
    assert torch.allclose(view.log_near[1:], student[1:].masked_fill(~mask[1:], -torch.inf).logsumexp(-1))
    assert torch.allclose(view.log_rest[2:], student[2:].masked_fill(mask[2:], -torch.inf).logsumexp(-1))


@pytest.mark.parametrize("omega", [None, 0.4])
def test_a_factor_that_is_left_in_and_memory_for_the_gradient_change_nothing(omega):
    student, teachers, mask, row, action = batch(7)
    groups, mixture = GroupRows(*mask.nonzero(as_tuple=True), 4), mixture_weights(action.double())
    prob = (teachers / 2.0).softmax(-1).transpose(0, 1)
    found = []
    for factor in (1.0, 1024.0):
        labels = part_labels(factor * prob, groups, 2.0, factor)
        view = view_student(student.detach().clone(), labels)
        weights = mixed_kd_weights(labels, row, mixture, omega=omega)
        logits = labels.mixture_logits(row, mixture)
        value, dot = mixed_kd_loss(view, labels, row, weights), labels.dot(student.detach())
        gradient = mixed_kd_gradient_(view, labels, row, weights, out=view.logits if factor > 1 else None)
        assert (gradient is view.logits) == (factor > 1)
        found.append((value, gradient, logits, dot))
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(*found, strict=True))


def test_an_offset_of_the_logits_does_not_matter_where_soft_labels_are_rounded():
    student, teachers, mask, row, action = batch(8)
    groups, mixture = GroupRows(*mask.nonzero(as_tuple=True), 4), mixture_weights(action.double())
    rounded = teachers.softmax(-1).transpose(0, 1).half().double()  # does not sum to one
    values = []
    for offset in (0.0, -1e4):
        labels = part_labels(rounded.clone(), groups)
        view = view_student(student.detach() + offset, labels)
        values.append(mixed_kd_loss(view, labels, row, mixed_kd_weights(labels, row, mixture)))
    assert torch.allclose(*values, rtol=1e-9)


def test_no_fact_is_zero():
    student, teachers, mask, row, action = batch(3)
    fast, _ = both_ways(student, teachers, mask, row[:0], action[:0], 1.0, 1.0, 1.0)
    assert fast[0].item() == 0.0
    assert (fast[1] == 0).all()


def test_labels_can_be_parted_from_probabilities():
    _, teachers, mask, _, _ = batch(2)
    groups = GroupRows(*mask.nonzero(as_tuple=True), 4)
    one = soft_labels(teachers.transpose(0, 1).clone(), groups, 2.0)
    other = part_labels((teachers / 2.0).softmax(-1).transpose(0, 1).clone(), groups, 2.0)
    assert all(torch.allclose(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def test_form_a_needs_alpha():
    _, teachers, mask, row, action = batch(2)
    labels = soft_labels(teachers.transpose(0, 1).clone(), GroupRows(*mask.nonzero(as_tuple=True), 4))
    with pytest.raises(ConfigError, match="alpha: expected a number where omega is None"):
        mixed_kd_weights(labels, row, mixture_weights(action.double()), alpha=None)
