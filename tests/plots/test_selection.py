import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.plots import plot_selection
from torch_geometric_dsom.trainer import SelectionShares

SHARES = SelectionShares(
    ("structure", "text"),
    ("likes", "never", "knows"),
    torch.tensor([[0.25, 1.0], [torch.nan, torch.nan], [0.5, 0.0]]),
    torch.tensor([0.0, torch.nan, 0.5]),
    torch.tensor([4, 0, 8]),
)


def test_numbers_and_names():
    axes = plot_selection(SHARES).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["knows", "likes"]  # by number of facts
    assert [label.get_text() for label in axes.get_xticklabels()] == ["structure", "text", "none"]
    assert [text.get_text() for text in axes.texts] == ["50", "0", "50", "25", "100", "0"]


def test_the_most_frequent_relations_alone():
    axes = plot_selection(SHARES, most=1).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["knows"]
    with pytest.raises(ConfigError, match="most: expected a positive number, got 0"):
        plot_selection(SHARES, most=0)
