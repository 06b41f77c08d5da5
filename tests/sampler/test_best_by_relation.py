import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.sampler import best_by_relation

GAIN = torch.tensor([[0.25, 1.0], [1.0, 0.5], [1.0, 0.5]])
RELATION = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("shrinkage", "expected"), [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1e3, [0, 0, 0]), (math.inf, [0, 0, 0])]
)
def test_a_relation_follows_the_others_as_far_as_it_has_few_facts(shrinkage, expected):
    assert best_by_relation(GAIN, RELATION, 3, shrinkage).tolist() == expected


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 3.0]))
def test_it_is_what_a_loop_over_relations_finds(seed, shrinkage):
    g = torch.Generator().manual_seed(seed)
    gain, relation = torch.rand(12, 4, generator=g, dtype=torch.float64), torch.randint(5, (12,), generator=g)
    expected = []
    for number in range(5):
        own = gain[relation == number]
        value = own.sum(dim=0) + shrinkage * gain.mean(dim=0) if len(own) else gain.mean(dim=0)
        expected.append(value.argmax().item())
    assert best_by_relation(gain, relation, 5, shrinkage).tolist() == expected
