import math

import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.sampler import TeacherSignals, teacher_signals


def test_equals_a_loop_over_facts_and_teachers():
    g = torch.Generator().manual_seed(0)
    student = torch.randn(3, 6, generator=g, dtype=torch.float64)
    teachers = torch.randn(2, 3, 6, generator=g, dtype=torch.float64).mul(2).round()  # with ties
    row, target = torch.tensor([0, 2, 2, 1]), torch.tensor([5, 1, 3, 0])
    mask = torch.rand(4, 6, generator=g) < 0.5
    signals = teacher_signals(student, teachers, row, target, GroupRows(*mask.nonzero(as_tuple=True), 4))
    for m in range(4):
        p_s = student[row[m]].softmax(-1).tolist()
        t = target[m].item()
        assert math.isclose(signals.student_log_prob[m].item(), math.log(p_s[t]))
        for k in range(2):
            z = teachers[k, row[m]].tolist()
            p = teachers[k, row[m]].softmax(-1).tolist()
            rank = 1 + sum(v > z[t] for v in z) + sum(v == z[t] for j, v in enumerate(z) if j != t) / 2
            expected = TeacherSignals(
                math.log(p[t]),
                1 / rank,
                -sum(v * math.log(v) for v in p),
                max(p),
                sum(a * math.log(a / b) for a, b in zip(p, p_s, strict=True)),
                sum(v for j, v in enumerate(p) if mask[m, j]),
                None,
            )
            for name in TeacherSignals._fields[:-1]:
                assert math.isclose(getattr(signals, name)[m, k].item(), getattr(expected, name), abs_tol=1e-9), name
    assert signals.features().shape == (4, 13)
    assert signals.features().isfinite().all()


def test_carries_no_gradient():
    student = torch.zeros(1, 3, requires_grad=True)
    one = torch.tensor([0])
    signals = teacher_signals(student, torch.zeros(1, 1, 3), one, one, GroupRows(one, one, 1))
    assert not any(value.requires_grad for value in signals)
