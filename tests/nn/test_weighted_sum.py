import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.nn.weighted_sum import weighted_sum

ROWS, SIZE = 4, 5
TERMS = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(-3, 3), st.integers(0, SIZE - 1)), max_size=12)


def parts(terms):
    source, weight, target = torch.tensor(terms, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return source, weight.double(), target


@given(TERMS)
def test_rows_are_added_where_they_go(terms):
    table = torch.arange(1.0, 1 + 2 * ROWS, dtype=torch.double).view(ROWS, 2)
    expected = [[0.0, 0.0] for _ in range(SIZE)]
    for source, weight, target in terms:
        for column in range(2):
            expected[target][column] += weight * (1 + 2 * source + column)
    assert weighted_sum(table, *parts(terms), SIZE).tolist() == expected


@pytest.mark.parametrize("terms", [[], [(0, 1, 4), (2, -2, 4), (2, 3, 0), (0, 1, 4), (3, 0, 1)]])
def test_gradients_of_rows_and_weights(terms):
    table = torch.randn(ROWS, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0), requires_grad=True)
    source, weight, target = parts(terms)
    weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: weighted_sum(x, source, w, target, SIZE), (table, weight))


def test_the_bits_are_the_same_on_any_number_of_threads():
    g, before, found = torch.Generator().manual_seed(0), torch.get_num_threads(), []
    table, weight = torch.randn(500, 16, generator=g).requires_grad_(), torch.rand(50_000, generator=g).requires_grad_()
    source, target = torch.randint(500, (50_000,), generator=g), torch.randint(300, (50_000,), generator=g)
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            total = weighted_sum(table, source, weight, target, 300)
            found.append((total.detach(), *torch.autograd.grad(total.square().sum(), (table, weight))))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_no_copy_of_a_row_for_each_term():
    """Of 200,000 terms of width 64, what is kept for the gradient is as large as some of their columns."""
    table, weight = torch.randn(100, 64, requires_grad=True), torch.rand(200_000, requires_grad=True)
    source, target = torch.arange(200_000) % 100, torch.arange(200_000) % 7
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes) or x, lambda x: x):
        total = weighted_sum(table, source, weight, target, 7)
    assert sum(kept) < 200_000 * 64 * 4 / 2
    total.sum().backward()
    torch.testing.assert_close(weight.grad, table.detach().sum(dim=1)[source])
