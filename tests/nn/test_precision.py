import pytest
import torch

from torch_geometric_dsom.nn import fast_matmul, narrow_dtype, plain_matmul, product
from torch_geometric_dsom.nn.precision import medium_is_exact


@pytest.mark.parametrize("setting", ["highest", "high"])
def test_the_setting_is_restored_even_after_an_error(setting):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        with pytest.raises(KeyError), fast_matmul():
            raise KeyError
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)


def test_products_inside_are_float32_exact():
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(100, 400, generator=g), torch.randn(400, 300, generator=g)
    with fast_matmul():
        product = a @ b
    exact = a.double() @ b.double()
    assert ((product.double() - exact).norm() / exact.norm()).item() < 1e-6


def test_nothing_changes_where_medium_rounds(monkeypatch):
    monkeypatch.setattr("torch_geometric_dsom.nn.precision.medium_is_exact", lambda: False)
    before = torch.get_float32_matmul_precision()
    with fast_matmul():
        assert torch.get_float32_matmul_precision() == before


def test_plain_products_inside_fast_ones(monkeypatch):
    monkeypatch.setattr("torch_geometric_dsom.nn.precision.medium_is_exact", lambda: True)
    before = torch.get_float32_matmul_precision()
    with fast_matmul():
        inside = torch.get_float32_matmul_precision()
        with pytest.raises(KeyError), plain_matmul():  # noqa: PT012
            assert torch.get_float32_matmul_precision() == ("highest" if not torch.cuda.is_available() else inside)
            raise KeyError
        assert torch.get_float32_matmul_precision() == inside
    assert torch.get_float32_matmul_precision() == before


def test_the_check_is_made_once_and_leaves_the_setting():
    before = torch.get_float32_matmul_precision()
    assert medium_is_exact() is medium_is_exact()
    assert torch.get_float32_matmul_precision() == before


def test_a_product_may_stay_narrow():
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    out = torch.empty(3, 5, dtype=torch.bfloat16)
    assert product(a, b, torch.bfloat16, out=out) is out
    assert torch.equal(out, a.bfloat16() @ b.bfloat16())


@pytest.mark.parametrize(
    ("told", "narrow"),
    [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"bf16": False}, False)],
)
def test_bfloat16_is_chosen_where_the_processor_has_it(told, narrow, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert narrow_dtype() is (torch.bfloat16 if narrow else None)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert narrow_dtype() is None  # older versions do not tell
