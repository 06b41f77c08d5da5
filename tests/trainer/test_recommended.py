import pytest

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import DATASETS
from torch_geometric_dsom.trainer import recommended
from torch_geometric_dsom.trainer.recommended import RECOMMENDED


@pytest.mark.parametrize("name", RECOMMENDED)
def test_every_recommendation_is_a_configuration_of_a_dataset(name):
    assert name in DATASETS
    options = recommended(name)
    config = DSoMTrainer(**options).config
    for key, value in options.items():
        found = getattr(config, key)
        assert found == value or all(getattr(found, part) == item for part, item in value.items())


def test_unknown_graphs_have_none_and_copies_are_given():
    assert recommended("my graph") == {}
    recommended("EmojiWorld")["rank"] = 1
    assert recommended("EmojiWorld") == RECOMMENDED["EmojiWorld"]
