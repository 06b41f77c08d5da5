import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.datasets import carve_validation
from torch_geometric_dsom.errors import ConfigError


@given(st.integers(0, 10**6), st.integers(0, 15))
@settings(max_examples=50, deadline=None)
def test_training_still_shows_everything(seed, size):
    g = torch.Generator().manual_seed(seed)
    facts = torch.stack([torch.randint(high, (120,), generator=g) for high in (15, 4, 15)], dim=-1)
    held_out = carve_validation(facts, size, g)
    assert int(held_out.sum()) == size
    before, after = facts, facts[~held_out]
    assert set(before[:, 1].tolist()) == set(after[:, 1].tolist())
    assert set(before[:, [0, 2]].flatten().tolist()) == set(after[:, [0, 2]].flatten().tolist())
    rows = {tuple(row) for row in after.tolist()}
    assert not any(tuple(row) in rows for row in facts[held_out].tolist())  # a duplicate would be in both


def test_what_cannot_be_spared_stays():
    chain = torch.tensor([[0, 0, 1], [1, 0, 2], [2, 0, 3]])
    found = carve_validation(chain, 1, torch.Generator().manual_seed(0))
    assert found.tolist() == [False, True, False]
    with pytest.raises(ConfigError, match="at most 1 facts"):
        carve_validation(chain, 2, torch.Generator())
    with pytest.raises(ConfigError, match="size"):
        carve_validation(chain, -1, torch.Generator())


def test_the_generator_decides():
    facts = torch.stack([torch.arange(60) % 6, torch.zeros(60, dtype=torch.long), torch.arange(60) % 7], dim=-1)
    facts = facts.unique(dim=0)
    one, same, other = (carve_validation(facts, 10, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
