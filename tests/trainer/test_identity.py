import hashlib

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.trainer.identity import flat, part_identity, run_identity, tensor_sum


def graph():
    return Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 1]), num_nodes=3)


def test_a_sum_is_that_of_names_kinds_and_bytes():
    x = torch.tensor([[1, 2], [3, 4]], dtype=torch.int16)
    expected = hashlib.sha256(b"a torch.int16 (2, 2) " + b"\x01\x00\x02\x00\x03\x00\x04\x00").hexdigest()[:16]
    assert tensor_sum({"a": x}) == expected
    assert tensor_sum({"a": x.T.contiguous().T, "note": "no tensor"}) == expected  # laid out otherwise, the same values


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.tensor([1.0, 2.0])},
        {"a": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"a": torch.tensor([[1.0, 2.0]])},
        {"a": torch.tensor([2.0, 1.0])},
    ],
)
def test_another_name_kind_shape_or_value_is_another_sum(other):
    assert tensor_sum(other) != tensor_sum({"a": torch.tensor([1.0, 2.0])})


def test_tensors_count_in_the_order_of_their_names():
    x, y = torch.tensor([1.0]), torch.tensor([2.0])
    assert tensor_sum({"x": x, "y": y}) == tensor_sum({"y": y, "x": x}) != tensor_sum({"x": y, "y": x})


def test_a_run_is_told_by_seed_options_and_graph():
    options = {"rank": 4, "fit": {"lr": 0.1, "deep": {"epochs": 2}}}
    found = run_identity(3, options, graph())
    assert {name: value for name, value in found.items() if name != "data"} == {
        "seed": 3,
        "rank": 4,
        "fit.lr": 0.1,
        "fit.deep.epochs": 2,
    }
    assert found == run_identity(3, options, graph())
    other = graph()
    other.edge_type[0] = 1
    assert run_identity(3, options, other) == {**found, "data": tensor_sum(other.to_dict())} != found


def test_options_are_named_by_their_path():
    assert flat({"a": {"b": {"c": 1}, "d": 2}, "e": 3}) == {"a.b.c": 1, "a.d": 2, "e": 3}
    assert flat({}) == {}


def test_a_model_is_told_by_its_shape_and_weights_anything_else_by_its_kind():
    one, two = nn.Linear(2, 1), nn.Linear(2, 1)
    two.load_state_dict(one.state_dict())
    assert part_identity(one) == part_identity(two)
    with torch.no_grad():
        two.bias += 1
    assert part_identity(one) != part_identity(two)
    assert part_identity(nn.Linear(2, 1, bias=False)).startswith("Linear(in_features=2, out_features=1, bias=False) ")
    assert part_identity(3.0) == "float"
