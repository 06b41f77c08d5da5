import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.loss import neighbor_decoupled_kd_loss
from torch_geometric_dsom.loss.decoupled_kernel import sparse_groups

FORMS = [
    {},
    {"alpha": 0.5, "beta": None, "temperature": 3.0},
    {"alpha": 2.0, "beta": 0.5, "omega": 0.7},
    {"alpha": None, "beta": None, "omega": 1.0, "temperature": 0.5},
    {"standardize": True},
]


def problem(dtype=torch.float64, rows=7, size=40):
    g = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(rows, size, generator=g, dtype=dtype) for _ in range(2))
    mask = torch.rand(rows, size, generator=g) < 0.05
    mask[0], mask[1] = False, True  # a group of nothing, and one of everything
    return student, teacher, GroupRows(*mask.nonzero(as_tuple=True), rows)


def losses(student, teacher, groups, **form):
    """With the kernel, and in plain operations, which a teacher with a gradient asks for."""
    plain = neighbor_decoupled_kd_loss(student, teacher.clone().requires_grad_(), groups, reduction="none", **form)
    return neighbor_decoupled_kd_loss(student, teacher, groups, reduction="none", **form), plain


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_value_and_gradient_are_those_of_plain_operations(form, dtype, atol):
    student, teacher, groups = problem(dtype)
    student.requires_grad_()
    kernel, plain = losses(student, teacher, groups, **form)
    assert "DecoupledKD" in str(kernel.grad_fn) + str(kernel.grad_fn.next_functions)
    assert torch.allclose(kernel, plain, atol=10 * atol)
    each = torch.linspace(-1, 2, 7, dtype=dtype)
    got, expected = (torch.autograd.grad(loss, student, each, retain_graph=True)[0] for loss in (kernel, plain))
    assert torch.allclose(got, expected, atol=atol)
    assert torch.equal(torch.autograd.grad(kernel, student, each)[0], got)  # nothing was overwritten


@pytest.mark.parametrize("form", FORMS[:4])
def test_the_gradient_has_derivatives(form):
    student, teacher, groups = problem()
    student.requires_grad_()
    seconds = []
    for loss in losses(student, teacher, groups, **form):
        (first,) = torch.autograd.grad(loss.pow(2).sum(), student, create_graph=True)
        seconds.append(torch.autograd.grad(first.pow(2).sum(), student)[0])
    assert seconds[0].abs().max() > 0
    assert torch.allclose(*seconds, atol=1e-10)


def test_a_weight_has_a_gradient():
    student, teacher, groups = problem()
    weight = torch.rand(7, dtype=torch.float64, requires_grad=True)
    loss = neighbor_decoupled_kd_loss(student, teacher, groups, weight=weight)
    rows = neighbor_decoupled_kd_loss(student, teacher, groups, reduction="none")
    assert torch.allclose(torch.autograd.grad(loss, weight)[0], rows / 7)


@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_gradients_stay_finite_for_extreme_logits(scale):
    student, teacher, groups = problem(torch.float32)
    student = (scale * student).requires_grad_()
    kernel, plain = losses(student, scale * teacher, groups)
    got, expected = (torch.autograd.grad(loss.sum(), student)[0] for loss in (kernel, plain))
    assert got.isfinite().all()
    assert torch.allclose(got, expected, atol=1e-3)


def test_inputs_are_left_alone():
    student, teacher, groups = problem()
    before = student.clone(), teacher.clone()
    neighbor_decoupled_kd_loss(student.requires_grad_(), teacher, groups).backward()
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


def test_which_groups_the_kernel_takes():
    student, teacher, groups = problem()
    assert sparse_groups(student, teacher, groups) is groups
    few = torch.zeros(7, 40, dtype=torch.bool).index_fill_(1, torch.tensor([3]), True)
    found = sparse_groups(student, teacher, few)
    assert torch.equal(found.dense(40), few)
    assert sparse_groups(student, teacher, ~few) is None
    assert sparse_groups(student, teacher.requires_grad_(), groups) is None
    with torch.no_grad():
        assert sparse_groups(student, teacher, groups) is groups


def test_a_compiler_sees_plain_operations():
    student, teacher, groups = problem(torch.float32)
    compiled = torch.compile(neighbor_decoupled_kd_loss, backend="eager")
    assert torch.allclose(compiled(student, teacher, groups), neighbor_decoupled_kd_loss(student, teacher, groups))
