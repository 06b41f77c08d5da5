import pytest
import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import ALL, Candidates, CandidateSampler

N = 200


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_all_changes_nothing():
    logits, groups = torch.randn(2, 5), GroupRows(torch.tensor([0, 1]), torch.tensor([4, 2]), 2)
    assert torch.equal(ALL.weigh_(logits.clone()), logits)
    assert torch.equal(ALL.each_(logits.clone()), logits)
    assert ALL.groups(groups) is groups
    assert repr(ALL) == "Candidates(all)"


@pytest.mark.parametrize("size", [1, 30, 196, 1000])
def test_what_must_be_there_is_there_and_the_rest_stands_for_all_others(size):
    required = torch.tensor([7, 150, 7, 0, 199])
    some = CandidateSampler(N, size, generator()).sample(required)
    assert some.entity.numel() == min(N, 4 + size)
    assert torch.equal(some.entity, some.entity.unique())
    place = some.place(required)
    assert torch.equal(some.entity[place], required)
    assert (some.log_weight[place] == 0).all()
    assert some.log_weight.exp().sum().item() == pytest.approx(N, rel=1e-5)
    assert torch.allclose(some.each_(some.log_weight.exp()), torch.ones(len(some.entity)))


def test_every_other_entity_is_drawn_as_often():
    sampler, count = CandidateSampler(10, 3, generator()), torch.zeros(10)
    for _ in range(4000):
        count[sampler.sample(torch.tensor([4])).entity] += 1
    assert count[4] == 4000
    others = torch.cat([count[:4], count[5:]])
    assert ((others - 4000 / 3).abs() < 4 * (4000 * 2 / 9) ** 0.5).all()


def estimates(size, required, logits, draws=4000):
    sampler = CandidateSampler(N, size, generator(1))
    found = []
    for _ in range(draws):
        some = sampler.sample(required)
        found.append(some.weigh_(logits[some.entity].clone()).exp().sum())
    return torch.stack(found)


def test_the_estimate_is_unbiased_and_its_logarithm_is_too_small_by_half_the_relative_variance():
    logits = torch.randn(N, generator=generator(), dtype=torch.float64)
    exact, biases = logits.exp().sum(), []
    for size in (20, 80):
        z = estimates(size, torch.tensor([3]), logits)
        assert (z.mean() - exact).abs() < 4 * z.std() / len(z) ** 0.5
        bias, error = (z.log() - exact.log()).mean(), z.log().std() / len(z) ** 0.5
        stated = -z.var() / (2 * exact**2)
        assert bias < 0
        assert (bias - stated).abs() < 4 * error + 0.2 * stated.abs()
        biases.append(bias.item())
    assert biases[0] < 3 * biases[1] < 0  # four times as many drawn
    assert torch.allclose(estimates(N, torch.tensor([3]), logits, draws=3), exact)


def test_variance_falls_where_the_likely_ones_must_be_there():
    logits = torch.randn(N, generator=generator(), dtype=torch.float64).mul(2)
    likely = estimates(20, logits.topk(20).indices, logits, draws=500)
    assert likely.std() < 0.3 * estimates(40, torch.tensor([0]), logits, draws=500).std()


def test_groups_become_places_and_strangers_are_left_out():
    some = Candidates(torch.tensor([2, 5, 9]), torch.zeros(3))
    groups = some.groups(GroupRows(torch.tensor([0, 0, 1, 1]), torch.tensor([9, 3, 2, 11]), 2))
    assert groups.row.tolist() == [0, 1]
    assert groups.entity.tolist() == [2, 0]


def test_order_follows_the_generator_and_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    one, other = (CandidateSampler(N, 5, generator(3)).sample(torch.tensor([1])).entity for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_size_below_one_is_refused():
    with pytest.raises(ConfigError, match="size: expected a positive number, got 0"):
        CandidateSampler(N, 0)
