import pytest
import torch

from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache

K, N = 2, 5


def distributions(queries, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(K, queries, N, generator=generator).mul(4).softmax(dim=-1)


@pytest.mark.parametrize("mapped", [False, True])
def test_gives_back_what_it_was_given_to_half_precision(tmp_path, mapped):
    cache = SoftLabelCache(torch.tensor([9, 2, 5]), K, N, max_bytes=1 << 20, folder=tmp_path if mapped else None)
    prob = distributions(3)
    slot = cache.slots(torch.tensor([5, 9, 2]))
    assert sorted(slot.tolist()) == [0, 1, 2]
    assert not cache.ready.any()
    cache.write(slot, prob)
    assert cache.ready.all()
    back = cache.read(slot.flip(0), torch.empty(K, 3, N)).flip(1)
    assert ((back - prob).abs() <= prob / 2048 + 3e-11).all()
    assert list(tmp_path.iterdir()) == []  # mapped without a name: nothing is left behind


def test_small_probabilities_are_not_lost():
    cache = SoftLabelCache(torch.tensor([0]), 1, 2, max_bytes=1 << 10)
    cache.write(torch.tensor([0]), torch.tensor([[[1e-8, 1.0]]]))
    assert cache.read(torch.tensor([0]), torch.empty(1, 1, 2))[0, 0, 0] == pytest.approx(1e-8, rel=0.01)


def test_budget_is_kept_and_strangers_have_no_place():
    each = 2 * K * N
    cache = SoftLabelCache(torch.arange(10), K, N, max_bytes=3 * each + each // 2)
    assert cache.num_bytes == 3 * each
    slot = cache.slots(torch.tensor([0, 2, 3, 9, 77, -4]))
    assert slot.tolist() == [0, 2, -1, -1, -1, -1]


@pytest.mark.parametrize("mapped", [False, True])
def test_the_largest_are_kept_and_the_rest_is_spread(tmp_path, mapped):
    folder = tmp_path if mapped else None
    cache = SoftLabelCache(torch.tensor([1, 4]), 1, 4, max_bytes=1 << 10, folder=folder, top_k=2)
    assert cache.error == 0.0
    cache.write(torch.tensor([1]), torch.tensor([[[0.5, 0.03125, 0.34375, 0.125]]]))
    back = cache.read(torch.tensor([1]), torch.empty(1, 1, 4))
    assert back[0, 0].tolist() == [0.5, 0.078125, 0.34375, 0.078125]
    assert cache.error == pytest.approx(0.046875)  # half of what two entities are off by
    cache.write(torch.tensor([0]), torch.tensor([[[0.5, 0.25, 0.125, 0.125]]]))
    assert cache.error == pytest.approx(0.046875 / 2)
    assert cache.num_bytes == 2 * 2 * 6


def test_keeping_as_many_as_there_are_is_keeping_all():
    cache = SoftLabelCache(torch.tensor([0]), K, N, max_bytes=1 << 10, top_k=N)
    prob = distributions(1)
    cache.write(torch.tensor([0]), prob)
    assert torch.allclose(cache.read(torch.tensor([0]), torch.empty(K, 1, N)), prob, rtol=1e-3)
    assert cache.top_k == 0


def test_error_falls_with_what_is_kept():
    prob, errors = distributions(6), []
    for k in range(1, N):
        cache = SoftLabelCache(torch.arange(6), K, N, max_bytes=1 << 10, top_k=k)
        cache.write(torch.arange(6), prob)
        back = cache.read(torch.arange(6), torch.empty(K, 6, N))
        assert torch.allclose(back.sum(-1), torch.ones(K, 6), atol=2e-3)
        errors.append(cache.error)
        assert errors[-1] == pytest.approx((back - prob).abs().sum(-1).div(2).mean().item(), rel=1e-4)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_no_room_at_all(tmp_path):
    cache = SoftLabelCache(torch.arange(3), K, N, max_bytes=1, folder=tmp_path)
    assert cache.num_bytes == 0
    assert cache.slots(torch.arange(3)).tolist() == [-1] * 3


@pytest.mark.parametrize("top_k", [0, 2])
def test_a_factor_may_be_left_in(top_k):
    cache = SoftLabelCache(torch.arange(3), num_teachers=2, num_entities=5, max_bytes=1 << 12, top_k=top_k)
    prob = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
    cache.write(torch.arange(3), prob)
    whole = cache.read(torch.tensor([2, 0]), torch.empty(2, 2, 5))
    assert torch.allclose(cache.read_times(torch.tensor([2, 0]), torch.empty(2, 2, 5)), cache.factor * whole)
    assert cache.factor == (1.0 if top_k else 1024.0)
    assert cache.is_stored(torch.tensor([1, -1])).tolist() == [True, False]
