import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import StaticSampler


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
