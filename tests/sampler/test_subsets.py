import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import all_subsets, subset_index


def test_all_subsets_are_all_and_each_once():
    subsets = all_subsets(4)
    assert subsets.shape == (16, 4)
    assert subsets.unique(dim=0).size(0) == 16
    assert not subsets[0].any()


def test_the_index_finds_each_subset_again():
    assert torch.equal(subset_index(all_subsets(5)), torch.arange(32))
    assert subset_index(torch.ones(2, 3, 2, dtype=torch.bool)).tolist() == [[3, 3, 3]] * 2


def test_too_many_teachers_are_refused():
    with pytest.raises(ConfigError, match="at most 12"):
        all_subsets(13)
