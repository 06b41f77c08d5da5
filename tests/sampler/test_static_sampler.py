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
    assert repr(StaticSampler(2, [1])) == "StaticSampler(num_teachers=2, chosen=[1])"
