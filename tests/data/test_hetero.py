import pytest
import torch
from torch_geometric.data import HeteroData

from torch_geometric_dsom.data import from_hetero, split_triples, to_hetero, validate
from torch_geometric_dsom.errors import DataError


def facts(data, split):
    return sorted(map(tuple, split_triples(data, split).tolist()))


def test_there_and_back_is_the_same_graph(small_graph):
    hetero = to_hetero(small_graph)
    assert hetero.validate()
    assert hetero.edge_types == [("entity", f"r{i}", "entity") for i in range(3)]
    again = from_hetero(hetero)
    validate(again)
    for split in ("train", "val", "test"):
        assert facts(again, split) == facts(small_graph, split)
    for name in ("x_image", "image_mask", "x_text", "text_mask"):
        assert torch.equal(again[name], small_graph[name])
    for name in ("entity_ids", "entity_labels", "relation_ids", "relation_labels"):
        assert again[name] == small_graph[name]


def test_held_out_facts_stay_out_of_message_passing(small_graph):
    hetero = to_hetero(small_graph)
    count = sum(hetero[kind].edge_index.size(1) for kind in hetero.edge_types)
    assert count == small_graph.edge_type.numel()


def several():
    hetero = HeteroData()
    hetero["person"].x = torch.ones(3, 2)
    hetero["city"].x = 2 * torch.ones(2, 2)
    hetero["city"].x_image = torch.full((2, 4), 3.0)
    hetero["city"].image_mask = torch.tensor([True, False])
    hetero["person", "knows", "person"].edge_index = torch.tensor([[0, 1], [1, 2]])
    hetero["person", "lives_in", "city"].edge_index = torch.tensor([[0, 2], [1, 0]])
    return hetero


def test_several_node_types_follow_each_other():
    data = from_hetero(several())
    validate(data)
    assert data.entity_ids == ["person/0", "person/1", "person/2", "city/0", "city/1"]
    assert data.relation_ids == ["knows", "lives_in"]
    assert facts(data, "train") == [(0, 0, 1), (0, 1, 4), (1, 0, 2), (2, 1, 3)]
    assert data.x_feature[:, 0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert data.feature_mask.all()
    assert data.image_mask.tolist() == [False, False, False, True, False]


def test_edge_types_with_one_middle_name_keep_their_ends():
    hetero = several()
    hetero["city", "knows", "city"].edge_index = torch.tensor([[0], [1]])
    assert from_hetero(hetero).relation_ids == ["person knows person", "person lives_in city", "city knows city"]


def test_errors():
    with pytest.raises(DataError, match="at least one edge type"):
        from_hetero(HeteroData())
    hetero = several()
    hetero["city"].x = torch.ones(2, 3)
    with pytest.raises(DataError, match=r"hetero\['city'\].x: expected 2 columns as elsewhere, got 3"):
        from_hetero(hetero)
    hetero["city"].x = torch.ones(2, 2, dtype=torch.long)
    with pytest.raises(DataError, match="expected a matrix of floats"):
        from_hetero(hetero)
