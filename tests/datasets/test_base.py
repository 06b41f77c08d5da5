import os
from pathlib import Path

import numpy as np
import pytest
import torch

from torch_geometric_dsom.datasets import FakeMMKG
from torch_geometric_dsom.datasets.base import MMKGDataset, default_root
from torch_geometric_dsom.errors import ConfigError, DataError


class Counted(MMKGDataset):
    """Tells how often it was made."""

    made = 0
    told = ""

    @property
    def recipe(self):
        return self.told

    def build(self):
        type(self).made += 1
        return FakeMMKG(num_entities=20, num_relations=2, num_kinds=4, num_facts=30, seed=1)[0]


@pytest.fixture(autouse=True)
def none_made():
    Counted.made, Counted.told = 0, ""


def double(data):
    data.x_text = 2 * data.x_text
    return data


def test_a_graph_is_made_once_and_read_afterwards(tmp_path):
    first, again = Counted(tmp_path)[0], Counted(tmp_path)[0]
    assert Counted.made == 1
    assert torch.equal(first.edge_index, again.edge_index)
    assert torch.equal(first.x_text, again.x_text)
    Counted(tmp_path, split="official")  # another file
    Counted(tmp_path, force_reload=True)
    assert Counted.made == 3


def test_what_it_depends_on_makes_it_anew(tmp_path):
    plain = Counted(tmp_path)[0].x_text
    assert torch.equal(Counted(tmp_path, pre_transform=Doubled())[0].x_text, 2 * plain)
    Counted(tmp_path, pre_transform=Doubled())
    assert Counted.made == 2
    Counted.told = "another recipe"
    Counted(tmp_path, pre_transform=Doubled())
    assert Counted.made == 3
    for _ in range(2):  # its address is all that is known of a function
        Counted(tmp_path, pre_transform=double)
    assert Counted.made == 5
    transformed = Counted(tmp_path / "other", transform=double)
    assert torch.equal(transformed[0].x_text, 2 * plain)


class Doubled:
    """A transform that has a name."""

    def __call__(self, data):
        return double(data)

    def __repr__(self):
        return "Doubled()"


def test_damage_is_made_anew(tmp_path):
    Counted(tmp_path)
    file = tmp_path / "processed" / "clean.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    Counted(tmp_path)
    assert Counted.made == 2
    Counted(tmp_path)
    assert Counted.made == 2


def test_features_of_a_file_replace_those_of_the_graph(tmp_path):
    file = tmp_path / "text.npy"
    for value in (1.0, 2.0):
        np.save(file, np.full((20, 3), value, dtype=np.float32))
        os.utime(file, ns=(int(value), int(value)))
        for _ in range(2):
            assert torch.equal(Counted(tmp_path, text_features=file)[0].x_text, torch.full((20, 3), value))
    assert Counted.made == 2
    with pytest.raises(DataError, match="nowhere.npy: expected a file, found none"):
        Counted(tmp_path, text_features=tmp_path / "nowhere.npy")


def test_where_nothing_can_be_kept_the_graph_is_in_memory(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("disk is full")

    monkeypatch.setattr("torch_geometric_dsom.datasets.base.save_data", refuse)
    with pytest.warns(UserWarning, match="could not be written, the graph stays in memory .disk is full"):
        graph = Counted(tmp_path)[0]
    assert graph.num_nodes == 20


def test_an_unknown_split_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"split: expected one of \['clean', 'official'\], got 'oficial'; did you"):
        Counted(tmp_path, split="oficial")
    assert Counted.made == 0


def test_where_graphs_live(monkeypatch):
    monkeypatch.setenv("DSOM_HOME", "~/mine")
    assert default_root("Counted") == Path.home() / "mine" / "Counted"
    monkeypatch.delenv("DSOM_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_root("Counted") == Path("/cache/torch_geometric_dsom/Counted")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root("Counted") == Path.home() / ".cache" / "torch_geometric_dsom" / "Counted"
