import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import (
    KDTerms,
    NeighborDecoupledKDLoss,
    kd_loss,
    neighbor_decoupled_kd_loss,
    neighbor_decoupled_kd_terms,
)


def by_hand(student, teacher, mask, alpha, beta, tau):
    """The definition, entity by entity, in plain Python floats."""
    losses = []
    for z_s, z_t, group in zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True):
        probabilities = []
        for z in (z_s, z_t):
            top = max(z)
            e = [math.exp((v - top) / tau) for v in z]
            probabilities.append([v / math.fsum(e) for v in e])
        p_s, p_t = probabilities
        rest = [j for j, inside in enumerate(group) if not inside]
        out_s, out_t = math.fsum(p_s[j] for j in rest), math.fsum(p_t[j] for j in rest)
        near = math.fsum(p_t[j] * math.log(p_t[j] / p_s[j]) for j, inside in enumerate(group) if inside)
        far = 0.0
        if rest:
            near += out_t * math.log(out_t / out_s)
            far = math.fsum(p_t[j] / out_t * math.log((p_t[j] / out_t) / (p_s[j] / out_s)) for j in rest)
        losses.append(tau**2 * (alpha * near + beta * far))
    return torch.tensor(losses, dtype=torch.float64)


def by_hand_b(student, teacher, mask, omega, alpha, beta, tau):
    """Form B, entity by entity; alpha and beta may be None."""
    losses = []
    for z_s, z_t, group in zip(student.tolist(), teacher.tolist(), mask.tolist(), strict=True):
        p_s, p_t = (
            [math.exp((v - max(z)) / tau) / math.fsum(math.exp((u - max(z)) / tau) for u in z) for v in z]
            for z in (z_s, z_t)
        )
        total = 0.0
        for inside, given_weight in ((True, alpha), (False, beta)):
            members = [j for j, in_group in enumerate(group) if in_group == inside]
            if not members:
                continue
            mass_s, mass_t = math.fsum(p_s[j] for j in members), math.fsum(p_t[j] for j in members)
            kl = math.fsum(p_t[j] / mass_t * math.log(p_t[j] / mass_t * mass_s / p_s[j]) for j in members)
            total += (
                omega * mass_t * math.log(mass_t / mass_s) + (mass_t if given_weight is None else given_weight) * kl
            )
        losses.append(tau**2 * total)
    return torch.tensor(losses, dtype=torch.float64)


def naive(student, teacher, mask, alpha, beta, tau, omega=None):
    """Both forms in plain dense float64 operations, for autograd."""
    p_s, p_t = (student / tau).softmax(-1), (teacher / tau).softmax(-1)
    total = 0.0
    for s, t, group in zip(p_s, p_t, mask, strict=True):
        near, far = torch.zeros(()), torch.zeros(())
        masses, near_full = torch.zeros(()), torch.zeros(())
        for inside in (True, False):
            members = group == inside
            if members.any():
                m_s, m_t = s[members].sum(), t[members].sum()
                kl = (t[members] / m_t * (t[members] / m_t / (s[members] / m_s)).log()).sum()
                masses = masses + m_t * (m_t / m_s).log()
                near, far = (kl, far) if inside else (near, kl)
                near_full = near_full + (m_t * kl if inside else 0.0)
        p_near, p_rest = (t * group).sum(), (t * ~group).sum()
        b = p_rest if beta is None else beta
        if omega is None:
            total = total + alpha * (masses + near_full) + b * far
        else:
            total = total + omega * masses + (p_near if alpha is None else alpha) * near + b * far
    return tau**2 * total / len(student)


def batch(rows=5, entities=9, seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    student, teacher = (scale * torch.randn(rows, entities, generator=g, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(rows, entities, generator=g) < 0.4
    mask[0], mask[1] = False, True  # an empty group and one that holds every entity
    return student, teacher, mask


def rows_of(mask):
    return GroupRows(*mask.nonzero(as_tuple=True), mask.size(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("alpha", "beta", "tau"), [(1.0, 1.0, 1.0), (0.5, 8.0, 4.0), (2.0, 0.0, 0.7)])
def test_equals_the_definition_for_masks_and_rows(seed, alpha, beta, tau):
    student, teacher, mask = batch(seed=seed)
    expected = by_hand(student, teacher, mask, alpha, beta, tau)
    for groups in (mask, rows_of(mask)):
        got = neighbor_decoupled_kd_loss(student, teacher, groups, alpha, beta, tau, reduction="none")
        assert torch.allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("omega", "alpha", "beta", "tau"), [(1.0, 1.0, 1.0, 1.0), (0.5, 2.0, 8.0, 4.0), (1.0, None, None, 0.7)]
)
def test_form_b_equals_the_definition(seed, omega, alpha, beta, tau):
    student, teacher, mask = batch(seed=seed)
    expected = by_hand_b(student, teacher, mask, omega, alpha, beta, tau)
    for groups in (mask, rows_of(mask)):
        got = neighbor_decoupled_kd_loss(student, teacher, groups, alpha, beta, tau, reduction="none", omega=omega)
        assert torch.allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", [(1.0, 1.0, 1.0), (0.5, None, 3.0), (2.0, 0.5, 2.0, 0.7), (None, None, 1.0, 1.0)])
def test_gradients_equal_those_of_plain_dense_operations(seed, form):
    student, teacher, mask = batch(seed=seed)
    student.requires_grad_(), teacher.requires_grad_()
    expected = torch.autograd.grad(naive(student, teacher, mask, *form), (student, teacher))
    options = dict(zip(("alpha", "beta", "temperature", "omega"), form, strict=False))
    for groups in (mask, rows_of(mask)):
        got = torch.autograd.grad(neighbor_decoupled_kd_loss(student, teacher, groups, **options), (student, teacher))
        for a, b in zip(got, expected, strict=True):
            assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


@given(st.integers(0, 10**6), st.floats(0.2, 10.0))
@settings(max_examples=40, deadline=None)
def test_the_forms_agree_and_groups_may_be_swapped(seed, tau):
    student, teacher, mask = batch(seed=seed)
    terms = neighbor_decoupled_kd_terms(student, teacher, mask, tau)
    assert all((part >= -1e-12).all() for part in terms)
    assert torch.allclose(terms.neighbors, terms.masses + terms.neighbor_mass * terms.inside, atol=1e-10)
    assert torch.allclose(terms.neighbor_mass + terms.rest_mass, torch.ones(5, dtype=torch.float64))
    one = neighbor_decoupled_kd_loss(student, teacher, mask, 0.3, 2.0, tau, omega=0.7)
    other = neighbor_decoupled_kd_loss(student, teacher, ~mask, 2.0, 0.3, tau, omega=0.7)
    assert torch.allclose(one, other, atol=1e-9)
    turned = neighbor_decoupled_kd_terms(student, teacher, ~mask, tau)
    assert torch.allclose(terms.masses, turned.masses, atol=1e-9)
    assert torch.allclose(terms.inside, turned.rest, atol=1e-9)
    # Form A, whichever side is called the neighbours, parts the same whole.
    plain = kd_loss(student, teacher, tau, reduction="none") / tau**2
    for part in (terms, turned):
        assert torch.allclose(part.neighbors + part.rest_mass * part.rest, plain, atol=1e-9)


def test_gradients_of_student_and_teacher_are_checked():
    student, teacher, mask = batch(rows=3, entities=5)
    student.requires_grad_(), teacher.requires_grad_()
    for groups in (mask, rows_of(mask)):
        assert torch.autograd.gradcheck(
            lambda s, t, groups=groups: neighbor_decoupled_kd_loss(s, t, groups, 0.7, 1.3, 2.0), (student, teacher)
        )


def test_gradient_has_its_closed_form():
    student, teacher, mask = batch()
    alpha, beta, tau = 0.7, 1.3, 2.0
    student.requires_grad_()
    neighbor_decoupled_kd_loss(student, teacher, mask, alpha, beta, tau, reduction="sum").backward()
    p_s, p_t = (student.detach() / tau).softmax(-1), (teacher / tau).softmax(-1)
    out_s, out_t = ((p * ~mask).sum(-1, keepdim=True) for p in (p_s, p_t))
    rest = alpha * (p_s - out_t * p_s / out_s) + beta * (p_s / out_s - p_t / out_t)
    expected = tau * torch.where(mask, alpha * (p_s - p_t), rest)
    assert torch.allclose(student.grad, expected, atol=1e-12)


def test_target_alone_is_dkd():
    student, teacher, _ = batch()
    target = torch.tensor([3, 1, 4, 1, 5])
    mask = torch.nn.functional.one_hot(target, 9).bool()
    tau = 4.0
    p_s, p_t = (student / tau).softmax(-1), (teacher / tau).softmax(-1)
    b_s, b_t = (torch.stack([p[mask], 1 - p[mask]], -1) for p in (p_s, p_t))
    tckd = (b_t * (b_t / b_s).log()).sum(-1)
    q_s, q_t = ((z / tau).masked_fill(mask, -1000.0).softmax(-1) for z in (student, teacher))
    nckd = torch.where(mask, 0.0, q_t * (q_t.clamp_min(1e-300) / q_s.clamp_min(1e-300)).log()).sum(-1)
    expected = tau**2 * (1.0 * tckd + 8.0 * nckd).mean()
    got = neighbor_decoupled_kd_loss(student, teacher, mask, alpha=1.0, beta=8.0, temperature=tau)
    assert got.item() == pytest.approx(expected.item(), rel=1e-9)


def test_alpha_one_and_beta_the_teachers_rest_mass_is_plain_distillation():
    student, teacher, mask = batch()
    terms = neighbor_decoupled_kd_terms(student, teacher, mask)
    p_t = teacher.softmax(-1)
    rest_mass = (p_t * ~mask).sum(-1)
    plain = (p_t * (teacher.log_softmax(-1) - student.log_softmax(-1))).sum(-1)
    assert torch.allclose(terms.rest_mass, rest_mass)
    assert torch.allclose(terms.neighbors + rest_mass * terms.rest, plain, atol=1e-12)
    loss = neighbor_decoupled_kd_loss(student, teacher, mask, beta=None, reduction="none")
    assert torch.allclose(loss, plain, atol=1e-12)
    form_b = neighbor_decoupled_kd_loss(student, teacher, mask, None, None, reduction="none", omega=1.0)
    assert torch.allclose(form_b, plain, atol=1e-12)
    assert torch.allclose(kd_loss(student, teacher, reduction="none"), plain, atol=1e-12)


@given(st.integers(0, 10**6), st.floats(0.2, 10.0), st.floats(-50.0, 50.0))
@settings(max_examples=60, deadline=None)
def test_invariances(seed, tau, shift):
    student, teacher, mask = batch(seed=seed)
    terms = neighbor_decoupled_kd_terms(student, teacher, mask, tau)
    assert all((part >= -1e-12).all() for part in terms)
    moved = neighbor_decoupled_kd_terms(student + shift, teacher - shift, mask, tau)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(terms, moved, strict=True))
    equal = neighbor_decoupled_kd_terms(teacher + shift, teacher, mask, tau)
    zero = (equal.neighbors, equal.rest, equal.masses, equal.inside)
    assert all(torch.allclose(part, torch.zeros_like(part), atol=1e-9) for part in zero)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_stays_finite_for_extreme_logits(scale, dtype):
    student, teacher, mask = batch(rows=4, entities=500, scale=scale)
    student, teacher = student.to(dtype).requires_grad_(), teacher.to(dtype)
    teacher.requires_grad_()
    for groups in (mask, rows_of(mask)):
        for options in ({}, {"omega": 1.0}, {"omega": 1.0, "alpha": None, "beta": None}, {"standardize": True}):
            loss = neighbor_decoupled_kd_loss(student, teacher, groups, **options)
            gradients = torch.autograd.grad(loss, (student, teacher))
            assert loss.isfinite()
            assert all(gradient.isfinite().all() for gradient in gradients)


def test_empty_and_whole_groups_have_terms_that_are_zero():
    student, teacher, mask = batch()
    for groups in (mask, rows_of(mask)):
        terms = neighbor_decoupled_kd_terms(student, teacher, groups)
        assert terms.inside[0] == terms.neighbor_mass[0] == terms.rest[1] == terms.rest_mass[1] == 0.0
        assert torch.allclose(terms.masses[:2], torch.zeros(2, dtype=torch.float64), atol=1e-14)


def test_sparse_groups_never_become_a_mask():
    class Masks(TorchDispatchMode):
        found = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            self.found += isinstance(out, torch.Tensor) and out.dtype == torch.bool and out.dim() == 2
            return out

    student, teacher, mask = batch()
    student.requires_grad_()
    counts = []
    for groups in (mask, rows_of(mask)):
        with Masks() as masks:
            neighbor_decoupled_kd_loss(student, teacher, groups, omega=1.0).backward()
        counts.append(masks.found)
    assert counts[0] > 0
    assert counts[1] == 0


def test_weight_and_reductions():
    student, teacher, mask = batch()
    each = neighbor_decoupled_kd_loss(student, teacher, mask, reduction="none")
    weight = torch.tensor([0.0, 1.0, 2.0, 0.0, 0.5], dtype=torch.float64)
    assert neighbor_decoupled_kd_loss(student, teacher, mask).item() == pytest.approx(each.mean().item())
    total = neighbor_decoupled_kd_loss(student, teacher, mask, weight=weight, reduction="sum")
    assert total.item() == pytest.approx((weight * each).sum().item())
    mean = neighbor_decoupled_kd_loss(student, teacher, mask, weight=weight)
    assert mean.item() == pytest.approx((weight * each).sum().item() / 5)


def test_empty_batch_is_zero():
    nothing = torch.empty(0, 4, requires_grad=True)
    loss = neighbor_decoupled_kd_loss(nothing, torch.empty(0, 4), torch.empty(0, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0


def test_module_is_the_function():
    student, teacher, mask = batch()
    module = NeighborDecoupledKDLoss(alpha=0.5, beta=2.0, temperature=3.0, reduction="sum")
    expected = neighbor_decoupled_kd_loss(student, teacher, mask, 0.5, 2.0, 3.0, reduction="sum")
    assert torch.equal(module(student, teacher, mask), expected)
    form_b = NeighborDecoupledKDLoss(None, 2.0, 3.0, omega=0.5)
    expected_b = neighbor_decoupled_kd_loss(student, teacher, mask, None, 2.0, 3.0, omega=0.5)
    assert torch.equal(form_b(student, teacher, mask), expected_b)
    terms = module.terms(student, teacher, mask)
    assert isinstance(terms, KDTerms)
    assert (9.0 * (0.5 * terms.neighbors + 2.0 * terms.rest)).sum().item() == pytest.approx(expected.item())
    assert repr(module) == (
        "NeighborDecoupledKDLoss(alpha=0.5, beta=2.0, omega=None, temperature=3.0, standardize=False, reduction='sum')"
    )


def test_bad_arguments_are_named():
    student, teacher, mask = batch()
    with pytest.raises(ConfigError, match="temperature.*0"):
        neighbor_decoupled_kd_loss(student, teacher, mask, temperature=0.0)
    with pytest.raises(ConfigError, match="reduction.*'max'"):
        neighbor_decoupled_kd_loss(student, teacher, mask, reduction="max")
    with pytest.raises(ConfigError, match=r"\[5, 9\] and \[5, 8\]"):
        neighbor_decoupled_kd_loss(student, teacher[:, :8], mask)
    with pytest.raises(ConfigError, match="groups.*float32"):
        neighbor_decoupled_kd_loss(student, teacher, mask.float())
    with pytest.raises(ConfigError, match="groups: expected 5 rows, got 4"):
        neighbor_decoupled_kd_loss(student, teacher, rows_of(mask[:4]))
    with pytest.raises(ConfigError, match="groups: expected GroupRows or a bool mask .*, got None"):
        neighbor_decoupled_kd_loss(student, teacher, None)
    with pytest.raises(ConfigError, match="temperature"):
        NeighborDecoupledKDLoss(temperature=-1.0)
    with pytest.raises(ConfigError, match="reduction"):
        NeighborDecoupledKDLoss(reduction="median")


def test_standardised_logits_make_size_and_offset_of_logits_irrelevant():
    student, teacher, mask = batch()
    one = neighbor_decoupled_kd_loss(student, teacher, mask, standardize=True)
    other = neighbor_decoupled_kd_loss(5 * student - 3, 0.1 * teacher, mask, standardize=True)
    assert one.item() == pytest.approx(other.item(), rel=1e-4)
    module = NeighborDecoupledKDLoss(standardize=True)
    assert module(student, teacher, mask).item() == one.item()
    assert module.terms(student, teacher, mask).neighbors.mean() > 0


def test_form_a_wants_an_alpha():
    with pytest.raises(ConfigError, match="alpha: expected a number in form A"):
        NeighborDecoupledKDLoss(alpha=None)
    student, teacher, mask = batch()
    with pytest.raises(ConfigError, match="alpha"):
        neighbor_decoupled_kd_loss(student, teacher, mask, alpha=None)
