import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data import RelationAffinity
from torch_geometric_dsom.errors import ConfigError


def graph(**features):
    """Relations 0 and 1; inverse ones are 2 and 3. Entity 5 has no fact."""
    facts = torch.tensor([[0, 0, 3], [0, 1, 4], [1, 0, 3], [2, 1, 4]])
    return Data(edge_index=facts[:, [0, 2]].T, edge_type=facts[:, 1], num_nodes=6, num_relations=2, **features)


def by_loops(data, entity):
    facts = [(h, r, t) for (h, t), r in zip(data.edge_index.T.tolist(), data.edge_type.tolist(), strict=True)]
    shown = {e: set() for e in range(6)}
    for h, r, t in facts:
        shown[h].add(r)
        shown[t].add(r + 2)
    heads = {r: {e for e in shown if r in shown[e]} for r in range(4)}
    row = [
        sum(len(heads[s] & heads[r]) / len(heads[s]) for s in shown[entity]) / len(shown[entity])
        if r not in shown[entity]
        else 0.0
        for r in range(4)
    ]
    return row if sum(row) else [2.0, 2.0, 2.0, 2.0]


def test_equals_loops_over_entities_and_relations():
    data = graph()
    entity = torch.tensor([1, 0, 2, 4, 3, 1])
    found = RelationAffinity(data).rows(entity)
    assert torch.allclose(found, torch.tensor([by_loops(data, e) for e in entity.tolist()]))
    assert found[0].tolist() == [0.0, 0.5, 0.0, 0.0]  # one of two heads of relation 0 has relation 1


def test_an_unseen_entity_is_compared_by_its_features():
    x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.1, 0.9]])
    mask = torch.tensor([True, True, True, False, False, True])
    near = RelationAffinity(graph(x_text=x, text_mask=mask), neighbors=1).rows(torch.tensor([5]))
    assert near.tolist() == [[0.5, 1.0, 0.0, 0.0]]  # as entity 2, whose relation is 1: one of its two heads has 0 too
    both = RelationAffinity(graph(x_text=x, text_mask=mask), neighbors=2).rows(torch.tensor([5]))
    assert torch.allclose(both / both.sum(), torch.tensor([[0.5, 0.5, 0.0, 0.0]]))  # entities 2 and 1
    without = RelationAffinity(graph()).rows(torch.tensor([5]))
    assert without.tolist() == [[2.0, 2.0, 2.0, 2.0]]


def test_a_number_of_neighbours_below_one_is_refused():
    with pytest.raises(ConfigError, match="neighbors: expected a positive number, got 0"):
        RelationAffinity(graph(), neighbors=0)
    assert repr(RelationAffinity(graph())) == "RelationAffinity(entities=6, relations=4)"
