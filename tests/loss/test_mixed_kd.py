import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.loss import (
    SoftLabels,
    StudentView,
    mixed_kd_loss,
    neighbor_decoupled_kd_loss,
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
    groups = GroupRows(*mask.nonzero(as_tuple=True), 4)
    labels = soft_labels(teachers.transpose(0, 1).clone(), groups, tau)
    mixture = mixture_weights(action.to(student.dtype))
    fast = mixed_kd_loss(view_student(student, labels, inside=bool(form)), labels, row, mixture, alpha, beta, **form)
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
    return fast, plain


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("alpha", "beta", "tau"), [(1.0, 1.0, 1.0), (0.5, 4.0, 3.0), (1.0, None, 2.0)])
def test_gradient_is_that_of_the_plain_loss(seed, alpha, beta, tau):
    parts = batch(seed)
    gradients = [torch.autograd.grad(loss, parts[0])[0] for loss in both_ways(*parts, alpha, beta, tau)]
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-12)
    shares = torch.rand(20, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * parts[-1]
    gradients = [torch.autograd.grad(loss, parts[0])[0] for loss in both_ways(*parts[:-1], shares, alpha, beta, tau)]
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("omega", "alpha", "beta", "tau"), [(1.0, 2.0, 0.5, 2.0), (0.7, None, None, 1.0)])
def test_gradient_of_form_b_is_that_of_the_plain_loss(seed, omega, alpha, beta, tau):
    parts = batch(seed)
    gradients = [torch.autograd.grad(loss, parts[0])[0] for loss in both_ways(*parts, alpha, beta, tau, omega=omega)]
    assert torch.allclose(*gradients, rtol=1e-10, atol=1e-12)


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
        differences.append((fast - plain).item())
    assert differences == pytest.approx([differences[0]] * 3, abs=1e-9)


@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_extreme_logits_stay_finite_in_float32(scale):
    parts = batch(1, torch.float32, scale, entities=200)
    fast, _ = both_ways(*parts, 1.0, 1.0, 1.0)
    (gradient,) = torch.autograd.grad(fast, parts[0])
    assert fast.isfinite()
    assert gradient.isfinite().all()


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
    view = view_student(student, labels, inside=True)
    assert view_student(student, labels).log_near is None
    assert isinstance(labels, SoftLabels)
    assert isinstance(view, StudentView)
    prob = teachers.softmax(-1).transpose(0, 1)
    shifted = (student - student.amax(-1, keepdim=True)).unsqueeze(1)
    assert torch.allclose(view.near, (prob * shifted * mask.unsqueeze(1)).sum(-1))
    assert torch.allclose(view.rest, (prob * shifted * ~mask.unsqueeze(1)).sum(-1))
    assert torch.allclose(view.log_near[1:], shifted[1:, 0].masked_fill(~mask[1:], -torch.inf).logsumexp(-1))
    assert torch.allclose(view.log_rest[2:], shifted[2:, 0].masked_fill(mask[2:], -torch.inf).logsumexp(-1))


def test_no_fact_is_zero():
    student, teachers, mask, row, action = batch(3)
    fast, _ = both_ways(student, teachers, mask, row[:0], action[:0], 1.0, 1.0, 1.0)
    assert fast.item() == 0.0
