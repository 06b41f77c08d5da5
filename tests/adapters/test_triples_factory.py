import pytest
import torch

pytest.importorskip("pykeen")
from pykeen.datasets import Nations
from pykeen.triples import CoreTriplesFactory, TriplesFactory

from torch_geometric_dsom.adapters import from_triples_factory, to_triples_factory
from torch_geometric_dsom.data import split_triples, validate
from torch_geometric_dsom.errors import DataError


def test_there_and_back_is_the_identity(small_graph):
    parts = [to_triples_factory(small_graph, split) for split in ("train", "val", "test")]
    assert all(isinstance(part, TriplesFactory) for part in parts)
    again = from_triples_factory(*parts)
    validate(again)
    for split in ("train", "val", "test"):
        assert torch.equal(split_triples(again, split), split_triples(small_graph, split))
    assert (again.num_nodes, again.num_relations) == (60, 3)
    assert again.entity_ids == small_graph.entity_ids
    assert again.relation_ids == small_graph.relation_ids


def test_inverse_triples_are_left_to_the_model(small_graph):
    factory = to_triples_factory(small_graph, create_inverse_triples=True)
    assert factory.num_relations == 6
    assert factory.num_triples == 240
    again = from_triples_factory(factory)
    assert again.num_relations == 3
    assert torch.equal(again.edge_index, small_graph.edge_index)


def test_a_graph_without_ids_has_a_core_factory(small_graph):
    bare = small_graph.clone()
    del bare.entity_ids
    factory = to_triples_factory(bare)
    assert type(factory) is CoreTriplesFactory
    assert (factory.num_entities, factory.num_relations) == (60, 3)


def test_nations_becomes_a_graph():
    nations = Nations()
    data = from_triples_factory(nations.training, nations.validation, nations.testing)
    validate(data)
    assert (data.num_nodes, data.num_relations) == (14, 55)
    h, r, t = nations.testing.triples[0]
    row = [data.entity_ids.index(h), data.relation_ids.index(r), data.entity_ids.index(t)]
    assert row in split_triples(data, "test").tolist()


def test_errors(small_graph):
    bare = small_graph.clone()
    del bare.val_edge_index, bare.val_edge_type
    with pytest.raises(DataError, match="expected facts in the split 'val'"):
        to_triples_factory(bare, "val")
    other = CoreTriplesFactory(torch.tensor([[0, 0, 1]]), num_entities=3, num_relations=1)
    with pytest.raises(DataError, match="validation: expected 60 entities"):
        from_triples_factory(to_triples_factory(small_graph), other)
