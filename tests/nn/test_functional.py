import torch

from torch_geometric_dsom.nn import complex_query, n3_penalty


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
