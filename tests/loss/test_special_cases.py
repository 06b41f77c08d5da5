import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import dkd_loss, kd_loss, neighbor_decoupled_kd_loss


def logits(rows=5, entities=9):
    g = torch.Generator().manual_seed(0)
    return (2 * torch.randn(rows, entities, generator=g, dtype=torch.float64) for _ in range(2))


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
