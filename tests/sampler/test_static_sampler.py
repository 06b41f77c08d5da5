import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import ConfidenceSampler, RelationSampler, RuleSampler, StaticSampler, best_sets


def test_takes_the_given_teachers_where_available():
    available = torch.tensor([[True, True, True], [False, True, True]])
    state = torch.zeros(2, 4)
    assert StaticSampler(3).sample(state, available).action.tolist() == available.tolist()
    choice = StaticSampler(3, chosen=[0]).sample(state, available)
    assert choice.action.tolist() == [[True, False, False], [False, False, False]]
    assert choice.weight.tolist() == [1.0, 0.0]
    assert StaticSampler(3).sample(state).action.all()


def test_update_learns_nothing():
    sampler = StaticSampler(2)
    assert sampler.update(sampler.sample(torch.zeros(1, 1)), torch.ones(1)) == {}
    assert not list(sampler.parameters())


def test_bad_numbers_are_named():
    with pytest.raises(ConfigError, match=r"\[0, 2\), got \[2\]"):
        StaticSampler(2, chosen=[2])
    assert repr(StaticSampler(2, [1])) == "StaticSampler(num_teachers=2, chosen=[1], prob=1.0)"
    with pytest.raises(ConfigError, match="prob"):
        StaticSampler(2, prob=0.0)


def test_by_lot_as_often_as_said_and_by_its_own_generator():
    before = torch.get_rng_state()
    one, other = (StaticSampler(3, [0, 2], 0.3, torch.Generator().manual_seed(1)) for _ in range(2))
    action = one.sample(torch.zeros(20_000, 1)).action
    assert torch.equal(action, other.sample(torch.zeros(20_000, 1)).action)
    assert torch.allclose(action.float().mean(0), torch.tensor([0.3, 0.0, 0.3]), atol=0.02)
    assert torch.equal(before, torch.get_rng_state())


def test_each_relation_has_its_set():
    sets = torch.tensor([[True, False], [False, True], [False, False]])
    state = torch.zeros(4, 5)
    state[torch.arange(4), 1 + torch.tensor([2, 0, 1, 0])] = 1.0
    sampler = RelationSampler(sets, slice(1, 4))
    assert isinstance(sampler, RuleSampler)
    assert sampler.sample(state).action.tolist() == sets[[2, 0, 1, 0]].tolist()
    available = torch.tensor([[False, True]] * 4)
    assert sampler.sample(state, available).action.tolist() == [[False, False], [False] * 2, [False, True], [False] * 2]
    with pytest.raises(ConfigError, match="sets"):
        RelationSampler(sets.float(), slice(0, 3))
    with pytest.raises(ConfigError, match="expected 3 of them, got 2"):
        RelationSampler(sets, slice(0, 2))


def test_best_sets_by_a_loop():
    g = torch.Generator().manual_seed(0)
    reward, relation = torch.rand(40, 8, generator=g), torch.randint(4, (40,), generator=g)
    found = best_sets(reward, relation, 5)
    for r in range(5):
        rows = [b for b in range(40) if relation[b] == r] or range(40)
        best = max(range(8), key=lambda s: sum(reward[b, s].item() for b in rows))
        assert found[r].tolist() == [bool(best >> k & 1) for k in range(3)]


def test_shares_grow_with_confidence():
    state = torch.tensor([[7.0, 0.5, 0.25], [7.0, 0.0, 0.0]])
    sampler = ConfidenceSampler(2, slice(1, 3), power=2.0)
    mixture = sampler.sample(state).mixture
    assert torch.allclose(mixture[0], torch.tensor([0.8, 0.2]))
    assert mixture[1].isfinite().all()
    alone = sampler.sample(state, torch.tensor([[False, True], [False, False]])).mixture
    assert alone.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert ConfidenceSampler(2, slice(1, 3), power=0.0).sample(state).mixture[0].tolist() == [0.5, 0.5]
    with pytest.raises(ConfigError, match="columns"):
        ConfidenceSampler(3, slice(0, 2))
    with pytest.raises(ConfigError, match="power"):
        ConfidenceSampler(2, slice(0, 2), power=-1.0)
