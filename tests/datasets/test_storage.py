from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from torch_geometric_dsom.datasets.storage import load_data, save_data
from torch_geometric_dsom.errors import DataError


def graph() -> Data:
    data = Data(num_nodes=2, labels=["a", "b"], nothing=None, empty=torch.zeros(0, 4), scalar=torch.tensor(3))
    data.x = torch.randn(2, 3, dtype=torch.float64)
    data.mask = torch.tensor([True, False])
    data.edge_index = torch.tensor([[0, 1], [1, 0]]).t()  # not contiguous
    data.half = torch.ones(2, dtype=torch.bfloat16)
    return data


def test_round_trip_keeps_values_and_order(tmp_path: Path) -> None:
    data = graph()
    save_data(data, tmp_path / "deep" / "graph", "key")
    back = load_data(tmp_path / "deep" / "graph", "key")
    assert back is not None
    assert list(back.to_dict()) == list(data.to_dict())
    for name, value in data.to_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(back[name], value)
            assert back[name].dtype == value.dtype
        else:
            assert back[name] == value
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["graph"]  # no temporary file is left


def test_shared_memory_is_written(tmp_path: Path) -> None:
    x = torch.arange(3.0)
    save_data(Data(x=x, y=x), tmp_path / "graph", "key")
    back = load_data(tmp_path / "graph", "key")
    assert back is not None
    assert torch.equal(back.y, x)


def test_missing_and_other_key(tmp_path: Path) -> None:
    assert load_data(tmp_path / "graph", "key") is None
    save_data(graph(), tmp_path / "graph", "key")
    assert load_data(tmp_path / "graph", "other") is None


def test_any_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    save_data(graph(), path, "key")
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert load_data(path, "key") is None, length
    for place in range(len(whole) - 1, len(whole) - 60, -7):  # in the tensors
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load_data(path, "key") is None, place
    changed = whole.replace(b"labels", b"lables")  # in the JSON
    assert changed != whole
    path.write_bytes(changed)
    assert load_data(path, "key") is None


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.odd: expected a dense tensor, .* got set"):
        save_data(Data(odd={1}), tmp_path / "graph", "key")
    with pytest.raises(DataError, match=r"data\.odd: .* got Tensor"):
        save_data(Data(odd=torch.eye(2).to_sparse()), tmp_path / "graph", "key")
    with pytest.raises(DataError, match=r"expected a torch_geometric\.data\.Data, got HeteroData"):
        save_data(HeteroData(), tmp_path / "graph", "key")
    assert list(tmp_path.iterdir()) == []
