import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import FrequencyScorer

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), max_size=14)


def graph(facts):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=NODES, num_relations=RELATIONS)


@given(FACTS, st.sampled_from([0.0, 0.5, 1.0]))
def test_evidence_is_that_of_loops(facts, discount):
    scorer = FrequencyScorer.from_data(graph(facts), discount)
    both = {fact for h, r, t in facts for fact in ((h, r, t), (t, r + RELATIONS, h))}  # each once
    expected = torch.zeros(2 * RELATIONS, NODES)
    for relation in range(2 * RELATIONS):
        for entity in range(NODES):
            here = sum(r == relation and t == entity for _, r, t in both)
            anywhere = sum(t == entity for _, _, t in both)
            expected[relation, entity] = math.log(1 + here) - discount * math.log(1 + anywhere)
    head, rel = torch.tensor([0, 3, 5, 1]), torch.tensor([3, 0, 2, 1])
    torch.testing.assert_close(scorer.score_tails(head, rel), expected[rel])
    some = torch.tensor([4, 0, 5])
    torch.testing.assert_close(scorer.score_tails(head, rel, some), expected[rel][:, some])


def test_evidence_is_added_to_scores_with_one_weight_or_one_for_each_query():
    scorer = FrequencyScorer.from_data(graph([(0, 0, 1), (2, 0, 1), (3, 1, 4)]), discount=0.5)
    head, rel = torch.tensor([5, 5]), torch.tensor([0, 0])
    evidence = math.log(3) - 0.5 * math.log(3)  # of entity 1, which answers relation 0 twice, and nothing else
    for dtype in (torch.float32, torch.bfloat16):
        scores = torch.ones(2, NODES, dtype=dtype)
        assert scorer.add_to(scores, head, rel, weight=2.0) is scores
        assert scores[0, 1].item() == pytest.approx(1 + 2 * evidence, rel=1e-2)
        assert scores[0, 4].item() == pytest.approx(1 - math.log(2), rel=2e-2)  # answers another relation
        assert scores[0, 5].item() == 1
    scores = scorer.add_to(torch.zeros(2, NODES), head, rel, weight=torch.tensor([0.0, 3.0]))
    assert not scores[0].any()
    assert scores[1, 1].item() == pytest.approx(3 * evidence)


def test_it_is_told_and_bad_arguments_are_named():
    scorer = FrequencyScorer.from_data(graph([(0, 0, 1), (0, 1, 1)] * 2), discount=0.25)
    assert repr(scorer) == "FrequencyScorer(6, 2, pairs=4)"
    again = FrequencyScorer(**scorer.config())
    again.load_state_dict(scorer.state_dict())
    head, rel = torch.tensor([0]), torch.tensor([1])
    assert torch.equal(again.score_tails(head, rel), scorer.score_tails(head, rel))
    for discount in (-0.1, 1.5, math.nan):
        with pytest.raises(ConfigError, match=r"discount: expected a share in \[0, 1\]"):
            FrequencyScorer(6, 2, discount=discount)


def test_only_training_facts_are_counted():
    data = graph([(0, 0, 1)])
    data.val_edge_index, data.val_edge_type = torch.tensor([[2], [3]]), torch.tensor([0])
    scorer = FrequencyScorer.from_data(data, discount=0.0)
    assert scorer.score_tails(torch.tensor([2]), torch.tensor([0]))[0].nonzero().flatten().tolist() == [1]
