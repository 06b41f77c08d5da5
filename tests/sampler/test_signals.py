import math

import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.sampler import StudentSignals, TeacherSignals, entropy_of, log_of, teacher_signals


def test_equals_a_loop_over_facts_and_teachers():
    g = torch.Generator().manual_seed(0)
    teachers = torch.randn(3, 2, 6, generator=g, dtype=torch.float64).mul(2).round()  # with ties
    row, target = torch.tensor([0, 2, 2, 1]), torch.tensor([5, 1, 3, 0])
    mask = torch.rand(3, 6, generator=g) < 0.5
    signals = teacher_signals((teachers / 2).softmax(-1), row, target, GroupRows(*mask.nonzero(as_tuple=True), 3))
    for m in range(4):
        t = target[m].item()
        for k in range(2):
            z = teachers[row[m], k].tolist()
            p = (teachers[row[m], k] / 2.0).softmax(-1).tolist()
            rank = 1 + sum(v > z[t] for v in z) + sum(v == z[t] for j, v in enumerate(z) if j != t) / 2
            expected = TeacherSignals(
                math.log(p[t]),
                1 / rank,
                -sum(v * math.log(v) for v in p),
                max(p),
                sum(v for j, v in enumerate(p) if mask[row[m], j]),
            )
            for name in TeacherSignals._fields:
                assert math.isclose(getattr(signals, name)[m, k].item(), getattr(expected, name), abs_tol=1e-9), name
    assert signals.features().shape == (4, 10)
    assert all(torch.equal(a[[2, 0]], b) for a, b in zip(signals, signals.rows(torch.tensor([2, 0])), strict=True))


def test_what_is_rounded_to_zero_has_a_finite_logarithm():
    assert log_of(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([0.0, math.log(2.0**-126)])


def test_entropy_of_what_is_certain_is_zero():
    prob = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    assert entropy_of(prob).tolist() == pytest.approx([0.0, math.log(4), math.log(2)])
    assert prob[0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_student_features_are_bounded():
    signals = StudentSignals(torch.tensor([-10.0]), torch.tensor([[100.0, -1e-7]]))
    assert signals.features().tolist() == [[-2.0, 4.0, 0.0]]
