import numpy as np
import pytest
import torch

from torch_geometric_dsom.data import map_features, validate
from torch_geometric_dsom.errors import DataError


def test_features_are_read_where_they_are_touched(tmp_path, small_graph):
    path = tmp_path / "x.npy"
    np.save(path, small_graph.x_text.half().numpy())
    data = small_graph.clone()
    data.x_text = map_features(path)
    assert data.x_text.dtype == torch.float16
    assert validate(data).modalities["text"].dim == 8
    assert torch.equal(data.x_text, small_graph.x_text.half())
    data.x_text[0] = 7.0  # a copy of the page; the file stays as it is
    assert torch.equal(map_features(path), small_graph.x_text.half())


@pytest.mark.parametrize(
    "array",
    [np.ones(3), np.ones((2, 2), dtype="int64"), np.asfortranarray(np.ones((3, 2))), np.array([{}], dtype=object)],
)
def test_other_files_are_refused(tmp_path, array):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy: expected a \.npy file of floats"):
        map_features(tmp_path / "x.npy")
    with pytest.raises(DataError, match="could not be mapped"):
        map_features(tmp_path / "none.npy")


def test_the_first_bad_row_is_named_wherever_it_is(small_graph, monkeypatch):
    monkeypatch.setattr("torch_geometric_dsom.data.contract.CHUNK", 16)
    data = small_graph.clone()
    data.x_text = data.x_text.clone()
    data.x_text[35, 2] = torch.nan
    with pytest.raises(DataError, match=r"data\.x_text\[35\]: expected finite features"):
        validate(data)
