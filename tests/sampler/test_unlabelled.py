import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.sampler import UnlabelledSampler


def graph():
    edge_index = torch.tensor([[0, 0, 0, 1], [1, 2, 3, 0]])
    return Data(edge_index=edge_index, edge_type=torch.tensor([0, 0, 0, 1]), num_nodes=10, num_relations=3)


def test_entities_are_uniform_and_relations_as_often_as_in_training():
    head, relation = UnlabelledSampler(graph(), torch.Generator().manual_seed(0)).sample(40_000)
    share = torch.bincount(head, minlength=10) / 40_000
    assert torch.allclose(share, torch.full((10,), 0.1), atol=0.01)
    share = torch.bincount(relation, minlength=6) / 40_000  # 0, 1 and their inverses 3, 4; 2 never occurs
    assert torch.allclose(share, torch.tensor([3, 1, 0, 3, 1, 0]) / 8, atol=0.01)


def test_entities_of_many_facts_may_be_asked_more_often():
    head, _ = UnlabelledSampler(graph(), torch.Generator().manual_seed(0), degree_power=1.0).sample(40_000)
    share = torch.bincount(head, minlength=10) / 40_000  # degrees 4, 2, 1, 1 and nothing for six
    assert torch.allclose(share, torch.tensor([5, 3, 2, 2, 1, 1, 1, 1, 1, 1]) / 18, atol=0.01)
    head, _ = UnlabelledSampler(graph(), torch.Generator().manual_seed(0), "alike", degree_power=0.5).sample(40_000)
    weights = torch.tensor([5.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).sqrt()
    assert torch.allclose(torch.bincount(head, minlength=10) / 40_000, weights / weights.sum(), atol=0.01)
    with pytest.raises(ConfigError, match="degree_power.*-1"):
        UnlabelledSampler(graph(), degree_power=-1)


def test_draws_follow_the_generator():
    one, other = (UnlabelledSampler(graph(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one.sample(5)[0], other.sample(5)[0])
    assert one.sample(0)[0].shape == (0,)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="number.*-1"):
        UnlabelledSampler(graph()).sample(-1)
    empty = Data(
        edge_index=torch.empty(2, 0, dtype=torch.long), edge_type=torch.empty(0, dtype=torch.long), num_nodes=1
    )
    empty.num_relations = 1
    with pytest.raises(DataError, match="fact"):
        UnlabelledSampler(empty)
    assert repr(UnlabelledSampler(graph())) == "UnlabelledSampler(entities=10, facts=8)"


def test_relations_of_resembling_entities():
    edge_index, edge_type = torch.tensor([[0, 0, 1], [2, 3, 2]]), torch.tensor([0, 1, 0])
    data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=5, num_relations=2)
    sampler = UnlabelledSampler(data, torch.Generator().manual_seed(0), relations="alike")
    head, relation = sampler.sample(2_000)
    assert torch.bincount(head, minlength=5).min() > 300
    assert relation[head == 1].unique().tolist() == [1]  # entity 0, with relation 0 too, has it
    assert relation[head == 4].unique().tolist() == [0, 1, 2, 3]  # nothing is known of it
    assert sampler.sample(0)[1].tolist() == []
    with pytest.raises(ConfigError, match=r"relations: expected one of \['frequent', 'alike'\], got 'some'"):
        UnlabelledSampler(data, relations="some")
