import math

import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import dkd_loss, kd_loss, neighbor_decoupled_kd_loss


def logits(rows=5, entities=9):
    g = torch.Generator().manual_seed(0)
    return (2 * torch.randn(rows, entities, generator=g, dtype=torch.float64) for _ in range(2))


def by_hand(student, teacher, tau, target=None, alpha=1.0, beta=1.0):
    """Plain distillation or, with targets, DKD, entity by entity."""
    losses = []
    for i, rows in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        e = [[math.exp((v - max(z)) / tau) for v in z] for z in rows]
        p_s, p_t = ([v / math.fsum(row) for v in row] for row in e)
        if target is None:
            loss = math.fsum(t * math.log(t / s) for t, s in zip(p_t, p_s, strict=True))
        else:
            j = int(target[i])
            (t, t_out), (s, s_out) = ((p[j], math.fsum(v for m, v in enumerate(p) if m != j)) for p in (p_t, p_s))
            rest = [(p_t[m] / t_out, p_s[m] / s_out) for m in range(len(p_t)) if m != j]
            loss = alpha * (t * math.log(t / s) + t_out * math.log(t_out / s_out))
            loss += beta * math.fsum(a * math.log(a / b) for a, b in rest)
        losses.append(tau**2 * loss)
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_both_equal_a_loop(tau):
    student, teacher = logits()
    target = torch.tensor([3, 1, 4, 1, 5])
    found = kd_loss(student, teacher, tau, reduction="none")
    assert torch.allclose(found, by_hand(student, teacher, tau), rtol=1e-10, atol=1e-10)
    found = dkd_loss(student, teacher, target, 0.5, 3.0, tau, reduction="none")
    assert torch.allclose(found, by_hand(student, teacher, tau, target, 0.5, 3.0), rtol=1e-10, atol=1e-10)


def test_gradients_equal_their_closed_forms():
    student, teacher = logits()
    student.requires_grad_()
    target, tau, alpha, beta = torch.tensor([3, 1, 4, 1, 5]), 2.0, 0.5, 3.0
    p_s, p_t = (student.detach() / tau).softmax(-1), (teacher / tau).softmax(-1)
    (found,) = torch.autograd.grad(kd_loss(student, teacher, tau, reduction="sum"), student)
    assert torch.allclose(found, tau * (p_s - p_t), rtol=1e-10, atol=1e-10)
    at = torch.nn.functional.one_hot(target, 9).bool()
    out_s, out_t = (1 - p[at].unsqueeze(-1) for p in (p_s, p_t))
    rest = alpha * (p_s - out_t * p_s / out_s) + beta * (p_s / out_s - p_t / out_t)
    (found,) = torch.autograd.grad(dkd_loss(student, teacher, target, alpha, beta, tau, reduction="sum"), student)
    assert torch.allclose(found, tau * torch.where(at, alpha * (p_s - p_t), rest), rtol=1e-10, atol=1e-10)
    teacher.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: kd_loss(s, t, tau), (student, teacher))
    assert torch.autograd.gradcheck(lambda s, t: dkd_loss(s, t, target), (student, teacher))


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_kd_is_the_divergence(tau):
    student, teacher = logits()
    divergence = torch.nn.KLDivLoss(reduction="none")
    expected = divergence((student / tau).log_softmax(-1), (teacher / tau).softmax(-1)).sum(-1) * tau**2
    assert torch.allclose(kd_loss(student, teacher, tau, reduction="none"), expected, atol=1e-12)
    weight = torch.arange(5.0)
    assert kd_loss(student, teacher, tau, weight).item() == pytest.approx((weight * expected).sum().item() / 5)


def test_dkd_equals_its_own_formula():
    student, teacher = logits()
    target, tau = torch.tensor([3, 1, 4, 1, 5]), 4.0
    mask = torch.nn.functional.one_hot(target, 9).bool()
    p_s, p_t = (student / tau).softmax(-1), (teacher / tau).softmax(-1)
    b_s, b_t = (torch.stack([p[mask], 1 - p[mask]], -1) for p in (p_s, p_t))
    rest_s, rest_t = (p.masked_fill(mask, 0.0) / (1 - p[mask]).unsqueeze(-1) for p in (p_s, p_t))
    nckd = torch.where(mask, 0.0, rest_t * (rest_t / rest_s).masked_fill(mask, 1.0).log()).sum(-1)
    expected = tau**2 * ((b_t * (b_t / b_s).log()).sum(-1) + 8.0 * nckd)
    assert torch.allclose(dkd_loss(student, teacher, target, reduction="none"), expected, atol=1e-10)
    general = neighbor_decoupled_kd_loss(student, teacher, mask, 1.0, 8.0, tau)
    assert dkd_loss(student, teacher, target).item() == pytest.approx(general.item())


def test_bad_arguments_are_named():
    student, teacher = logits()
    with pytest.raises(ConfigError, match="target: expected"):
        dkd_loss(student, teacher, torch.zeros(4, dtype=torch.long))
    with pytest.raises(ConfigError, match="temperature"):
        kd_loss(student, teacher, 0.0)
    with pytest.raises(ConfigError, match="reduction"):
        kd_loss(student, teacher, reduction="avg")
    with pytest.raises(ConfigError, match="student_logits"):
        kd_loss(student, teacher[:, 1:])
