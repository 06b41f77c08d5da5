import pytest
import torch

from torch_geometric_dsom.nn import complex_query, gathering, n3_penalty, n3_penalty_real, negative_distance, rows


def test_complex_query_is_the_complex_product():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 8, generator=g), torch.randn(5, 8, generator=g)
    product = torch.complex(*a.chunk(2, -1)) * torch.complex(*b.chunk(2, -1))
    assert torch.allclose(complex_query(a, b), torch.cat([product.real, product.imag], dim=-1), atol=1e-6)


def test_n3_gradient_is_checked_and_finite_at_zero():
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(n3_penalty, (x,))
    zero = torch.zeros(2, 4, requires_grad=True)
    n3_penalty(zero).backward()
    assert torch.equal(zero.grad, torch.zeros(2, 4))


def test_n3_is_averaged_over_the_batch_and_zero_when_empty():
    row = torch.tensor([[3.0, 4.0]])
    assert n3_penalty(row.repeat(4, 1), row.repeat(4, 1)).item() == 250.0
    assert n3_penalty(torch.empty(0, 4)).item() == 0.0


def test_n3_of_real_vectors_by_hand():
    assert n3_penalty_real(torch.tensor([[1.0, -2.0], [0.0, 3.0]]), torch.tensor([[2.0], [0.0]])).item() == 22.0
    assert n3_penalty_real(torch.empty(0, 4)).item() == 0.0


def test_negative_distance_is_that_of_cdist():
    g = torch.Generator().manual_seed(0)
    query, table = torch.randn(5, 8, generator=g).double(), torch.randn(9, 8, generator=g).double()
    for p in (1.0, 2.0):
        expected = -(query.unsqueeze(1) - table).norm(p=p, dim=-1)
        assert torch.allclose(negative_distance(query, table, p), expected, atol=1e-10)
    single = negative_distance(query.float(), table.float())
    assert torch.allclose(single.double(), negative_distance(query, table), atol=1e-4)


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_rows_of_a_gathering_table_have_the_gradient_of_rows(made, dense):
    """Of a parameter and of a table that is made of one, with and without a gradient of the whole table beside."""
    g = torch.Generator().manual_seed(0)
    parameter, weight = torch.randn(5, 3, generator=g, requires_grad=True), torch.randn(4, 3, generator=g)
    few, many = torch.tensor([4, 0, 4]), torch.tensor([1, 1, 0, 4])
    found = []
    for take in (gathering, lambda table: table):
        table = take(parameter.exp() if made else parameter)
        loss = rows(table, few).square().sum() + (weight * rows(table, many)).sum()
        if dense:
            loss = loss + table.pow(3).sum()
        found.append(torch.autograd.grad(7 * loss, parameter)[0])
    assert torch.allclose(*found, rtol=1e-5)


def test_a_table_that_needs_no_gradient_gathers_none():
    table = torch.ones(3, 2)
    assert gathering(table) is table
    with torch.no_grad():
        assert rows(gathering(table.requires_grad_()), torch.tensor([2])).grad_fn is None
