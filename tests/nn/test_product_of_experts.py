import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ComplEx, DistMult, ModalityTeacher, is_mean_of, product_of_experts


def experts():
    g = torch.Generator().manual_seed(0)
    first = ComplEx(5, 2, rank=3, init_scale=1.0, generator=g)
    second = ModalityTeacher(
        {"t": torch.rand(5, 4, generator=g)}, {"t": torch.ones(5, dtype=torch.bool)}, 2, rank=4, generator=g
    )
    return [first, second]


@pytest.mark.parametrize("weights", [None, [0.3, 1.7]])
def test_scores_are_the_weighted_sum(weights):
    head, rel = torch.tensor([0, 4, 2]), torch.tensor([3, 0, 1])
    fused = product_of_experts(experts(), weights)
    expected = sum(w * e.score_tails(head, rel) for w, e in zip(weights or [0.5, 0.5], experts(), strict=True))
    assert torch.allclose(fused.score_tails(head, rel), expected, atol=1e-5)
    assert fused.rank == 7
    assert not any(p.requires_grad for p in fused.parameters())


def test_softmax_is_the_normalised_product():
    head, rel = torch.tensor([1]), torch.tensor([2])
    product = torch.ones(5)
    for expert in experts():
        product = product * expert.score_tails(head, rel)[0].softmax(dim=-1)
    fused = product_of_experts(experts(), [1.0, 1.0]).score_tails(head, rel)[0].softmax(dim=-1)
    assert torch.allclose(fused, product / product.sum(), atol=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="experts"):
        product_of_experts([])
    with pytest.raises(ConfigError, match=r"\(4, 2\), \(5, 2\)"):
        product_of_experts([ComplEx(5, 2, rank=1), ComplEx(4, 2, rank=1)])
    with pytest.raises(ConfigError, match="weights"):
        product_of_experts(experts(), [1.0])


def test_a_mean_is_told_from_other_products_of_the_same_size():
    first, second = (expert.freeze() for expert in experts())
    assert is_mean_of(product_of_experts([first, second]), [first, second])
    assert not is_mean_of(product_of_experts([first, second]), [second, first])  # columns of another order
    assert not is_mean_of(product_of_experts([first, second], [0.3, 0.7]), [first, second])
    assert not is_mean_of(product_of_experts([first, second]), [first])
    assert not is_mean_of(first, [])
    other = product_of_experts([first, second])
    other.entity[4, 13] += 1e-6
    assert not is_mean_of(other, [first, second])
    real = [DistMult(5, 2, rank=3).freeze(), DistMult(5, 2, rank=3).freeze()]
    assert not is_mean_of(product_of_experts(real), real)
