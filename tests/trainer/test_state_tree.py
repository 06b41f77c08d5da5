import json

import pytest
import torch

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.state_tree import join_tree, split_tree


def test_what_goes_in_comes_out_through_json():
    tree = {"a": [1, None, torch.arange(3)], "b": {0: {"x": torch.ones(())}, 1: (2.5, True)}, "a.2": torch.zeros(1)}
    plain, tensors = split_tree(tree)
    assert len(tensors) == 3
    back = join_tree(json.loads(json.dumps(plain)), tensors)
    assert torch.equal(back["a"][2], tree["a"][2])
    assert torch.equal(back["a.2"], tree["a.2"])
    assert torch.equal(back["b"][0]["x"], tree["b"][0]["x"])
    assert back["a"][:2] == [1, None]
    assert back["b"][1] == [2.5, True]


def test_names_of_ours_among_the_keys_are_no_trap():
    tree = {"$tensor": "x", "deep": {"$pairs": [1]}}
    assert join_tree(*split_tree(tree)) == tree


def test_what_cannot_be_saved_is_named():
    with pytest.raises(CheckpointError, match=r"a\.0: cannot save a object"):
        split_tree({"a": [object()]})
