"""What holds for every distillation loss alike: dtypes, compilation, empty batches, exchangeable modules."""

import inspect

import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import DISTLoss, ListwiseKDLoss, NeighborDecoupledKDLoss, dkd_loss, kd_loss


def kd(student, teacher, groups, weight=None):
    return kd_loss(student, teacher, 2.0, weight)


def dkd(student, teacher, groups, weight=None):
    return dkd_loss(student, teacher, torch.arange(student.size(0)), weight=weight)


MODULES = {
    "form A": NeighborDecoupledKDLoss(0.5, 2.0, 2.0),
    "form B": NeighborDecoupledKDLoss(0.5, 2.0, 2.0, omega=0.7),
    "plain": NeighborDecoupledKDLoss(None, None, omega=1.0),
    "standardised": NeighborDecoupledKDLoss(standardize=True),
    "DIST": DISTLoss(0.5, 2.0, 2.0, intra=0.3),
    "list-wise": ListwiseKDLoss(0.5, 2.0, 2.0, k=3),
}
LOSSES = {**MODULES, "KD": kd, "DKD": dkd}


def batch(rows=4, entities=40, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(rows, entities, generator=g) for _ in range(2))
    mask = torch.rand(rows, entities, generator=g) < 0.3
    mask[0], mask[1] = False, True
    return student.to(dtype).requires_grad_(), teacher.to(dtype), mask, torch.rand(rows, generator=g)


def rows_of(mask):
    return GroupRows(*mask.nonzero(as_tuple=True), mask.size(0))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_floats_are_computed_in_float32(name, dtype):
    student, teacher, mask, weight = batch(dtype=dtype)
    for groups in (mask, rows_of(mask)):
        loss = LOSSES[name](student, teacher, groups, weight)
        exact = LOSSES[name](student.float(), teacher.float(), groups, weight)
        assert loss.dtype == torch.float32
        assert loss.item() == exact.item()
        (gradient,) = torch.autograd.grad(loss, student)
        assert gradient.dtype == dtype
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_under_autocast_the_loss_is_that_of_its_logits(name):
    student, teacher, mask, weight = batch()
    table = torch.randn(40, 40, generator=torch.Generator().manual_seed(1)) / 6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = student @ table
        loss = LOSSES[name](logits, teacher, mask, weight)
        sparse = LOSSES[name](logits, teacher, rows_of(mask), weight)
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    expected = LOSSES[name](logits.detach().float(), teacher, mask, weight)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert sparse.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert student.grad.dtype == torch.float32
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sparse", [False, True])
def test_compiles_without_graph_breaks(name, sparse):
    student, teacher, mask, weight = batch()
    groups = rows_of(mask) if sparse else mask
    loss = LOSSES[name]
    compiled = torch.compile(lambda *parts: loss(*parts), fullgraph=True, backend="aot_eager")
    found, expected = compiled(student, teacher, groups, weight), loss(student, teacher, groups, weight)
    assert torch.allclose(found, expected, atol=1e-5)
    gradients = (torch.autograd.grad(value, student)[0] for value in (found, expected))
    assert torch.allclose(*gradients, atol=1e-5)
    torch.compiler.reset()


@pytest.mark.parametrize("name", LOSSES)
def test_empty_batches_and_empty_groups(name):
    nothing = torch.empty(0, 4, requires_grad=True)
    loss = LOSSES[name](nothing, torch.empty(0, 4), torch.empty(0, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    none = torch.zeros(0, dtype=torch.long)
    sparse = LOSSES[name](nothing, torch.empty(0, 4), GroupRows(none, none, 0))
    sparse.backward()
    assert sparse.item() == 0.0
    student, teacher, mask, _ = batch()
    dense = LOSSES[name](student, teacher, torch.zeros_like(mask))
    assert LOSSES[name](student, teacher, GroupRows(none, none, 4)).item() == pytest.approx(dense.item(), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "DIST"])
def test_a_query_without_weight_has_no_gradient(name):
    student, teacher, mask, _ = batch()
    loss = LOSSES[name](student, teacher, mask, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient[2].abs().max() == 0.0
    assert gradient[3].abs().max() > 0.0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_float_types_are_kept_and_extreme_logits_stay_finite(name, dtype, sparse):
    g = torch.Generator().manual_seed(1)
    student, teacher = ((1e4 * torch.randn(4, 40, generator=g)).to(dtype).requires_grad_() for _ in range(2))
    *_, mask, _ = batch()
    loss = LOSSES[name](student, teacher, rows_of(mask) if sparse else mask)
    assert loss.dtype == dtype
    assert loss.isfinite()
    for gradient in torch.autograd.grad(loss, (student, teacher), allow_unused=name == "list-wise"):
        assert gradient is None or (gradient.dtype == dtype and gradient.isfinite().all())


@pytest.mark.parametrize("name", LOSSES)
def test_weights_are_one_a_query(name):
    student, teacher, mask, _ = batch()
    for wrong in (torch.ones(4, 1), torch.ones(3), torch.tensor(1.0)):
        with pytest.raises(ConfigError, match=r"weight: expected one for each query, \[4\], got"):
            LOSSES[name](student, teacher, mask, wrong)


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_called_alike(name):
    parameters = list(inspect.signature(MODULES[name].forward).parameters.values())
    assert [p.name for p in parameters] == ["student_logits", "teacher_logits", "groups", "weight"]
    assert parameters[-1].default is None
