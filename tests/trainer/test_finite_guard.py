import pytest
import torch

from torch_geometric_dsom.errors import NonFiniteError
from torch_geometric_dsom.trainer.finite_guard import FiniteGuard


def model_with(gradient):
    model = torch.nn.Linear(2, 1)
    model.weight.grad = torch.tensor([[0.0, gradient]])
    return model


def test_a_gradient_that_is_not_finite_is_named():
    FiniteGuard(model_with(1.0), "student").gradients(epoch=1, batch=1)
    for value in (float("nan"), float("inf"), -float("inf")):
        guard = FiniteGuard(model_with(value), "teacher/image")
        with pytest.raises(
            NonFiniteError, match=r"teacher/image: gradient of 'weight' became \w+ in epoch 3, batch 7; "
        ):
            guard.gradients(epoch=3, batch=7)


def test_many_half_floats_are_no_overflow():
    model = torch.nn.Linear(1000, 1, bias=False).half()
    model.weight.grad = torch.full((1, 1000), 1000.0).half()
    FiniteGuard(model, "student").gradients(epoch=1, batch=1)


def test_a_loss_that_is_not_finite_is_named_with_the_hint():
    guard = FiniteGuard(model_with(1.0), "student")
    guard.loss(torch.tensor(2.0), 1, 1)
    with pytest.raises(NonFiniteError, match="student: loss became nan in epoch 1, batch 2; .*; the last good one"):
        guard.loss(torch.tensor(float("nan")), 1, 2, "; the last good one")


def test_what_is_put_off_is_found_at_the_end_of_the_epoch():
    guard = FiniteGuard(model_with(1.0), "student")
    guard.waits = True
    for batch, value in enumerate([1.0, float("inf"), float("nan")], start=1):
        guard.loss(torch.tensor(value), 2, batch)
        guard.gradients(2, batch)
    with pytest.raises(NonFiniteError, match="loss became inf in epoch 2, batch 2"):
        guard.epoch_done(2)
    guard.epoch_done(3)  # those of an epoch are gone with it


def test_an_error_from_inside_is_told_with_its_place():
    guard, error = FiniteGuard(model_with(1.0), "student"), NonFiniteError("scores: bad")
    with (
        pytest.raises(NonFiniteError, match=r"^student: scores: bad, in epoch 2, batch 5; see there$"),
        guard.place(2, 5, "; see there"),
    ):
        raise error
    with torch.no_grad():
        guard.parameters[1][1].fill_(float("nan"))
    with (
        pytest.raises(NonFiniteError, match=r"in epoch 4, validation; parameters that are not finite: \['bias'\]"),
        guard.place(4),
    ):
        raise error
