import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.data import PathIndex
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import Rule, RuleScorer

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), max_size=14)


def graph(facts):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=NODES, num_relations=RELATIONS)


def counted(data, smoothing, min_support):
    """Confidence of each (body, relation) by loops over paths and facts."""
    index = PathIndex(data)
    pairs = {}
    for part in index:
        for head, body, tail in zip(*(x.tolist() for x in part), strict=True):
            pairs.setdefault(index.relations(body), set()).add((head, tail))
    facts = set()
    for head, relation, tail in zip(
        *data.edge_index[:1].tolist(), data.edge_type.tolist(), data.edge_index[1].tolist(), strict=True
    ):
        facts |= {(head, relation, tail), (tail, relation + RELATIONS, head)}
    found = {}
    for body, joined in pairs.items():
        for relation in range(2 * RELATIONS):
            held = sum((head, relation, tail) in facts for head, tail in joined)
            if held >= min_support and body != (relation,):
                found[body, relation] = held / (len(joined) + smoothing)
    return pairs, found


@given(FACTS, st.sampled_from([0.5, 2.0]), st.integers(1, 3))
def test_evidence_is_that_of_loops(facts, smoothing, min_support):
    data = graph(facts)
    scorer = RuleScorer.from_data(data, smoothing, min_support)
    pairs, confidence = counted(data, smoothing, min_support)
    assert scorer.num_rules == len(confidence)
    expected = torch.zeros(NODES, 2 * RELATIONS, NODES)
    for (body, relation), value in confidence.items():
        for head, tail in pairs[body]:
            expected[head, relation, tail] -= math.log(1 - min(value, 0.999))
    head = torch.arange(NODES).repeat_interleave(2 * RELATIONS)
    rel = torch.arange(2 * RELATIONS).repeat(NODES)
    torch.testing.assert_close(scorer.score_tails(head, rel).view_as(expected), expected)
    some = torch.tensor([4, 0, 5])
    torch.testing.assert_close(scorer.score_tails(head, rel, some), expected.flatten(0, 1)[:, some])
    for relation in range(2 * RELATIONS):
        rules = scorer.rules(relation, most=1000)
        told = {(rule.body, rule.relation): rule.confidence for rule in rules}
        assert told == {
            key: pytest.approx(min(value, 0.999), rel=1e-4) for key, value in confidence.items() if key[1] == relation
        }
        assert [rule.confidence for rule in rules] == sorted((rule.confidence for rule in rules), reverse=True)


def test_the_most_confident_rules_of_each_relation_are_kept():
    facts = [(a, r, (a + 1) % 6) for a in range(6) for r in range(2)] + [(a, 1, (a + 2) % 6) for a in range(6)]
    every = RuleScorer.from_data(graph(facts), 1.0, 1, max_rules=100)
    few = RuleScorer.from_data(graph(facts), 1.0, 1, max_rules=2)
    for relation in range(4):
        best, kept = every.rules(relation, 100), few.rules(relation, 100)
        assert len(best) > len(kept) == 2
        assert [rule.confidence for rule in kept] == [rule.confidence for rule in best[:2]]


def test_evidence_is_added_to_scores_in_their_memory_and_dtype():
    scorer = RuleScorer.from_data(graph([(0, 0, 1), (0, 1, 1), (2, 0, 3), (2, 1, 3), (4, 0, 5)]), 1.0, 2)
    head, rel = torch.tensor([4, 1]), torch.tensor([1, 0])
    for dtype in (torch.float32, torch.bfloat16):
        scores = torch.ones(2, NODES, dtype=dtype)
        assert scorer.add_to(scores, head, rel, weight=2.0) is scores
        assert scores[0, 5].item() == pytest.approx(1 - 2 * math.log(1 - 2 / 4), rel=1e-2)  # holds for 2 of 3 + 1
        assert scores.sum().item() == pytest.approx(12 - 2 * math.log(1 - 2 / 4), rel=1e-2)


def test_a_rule_by_hand():
    data = graph([(0, 0, 1), (0, 1, 1), (2, 0, 3), (2, 1, 3), (4, 0, 5)])
    scorer = RuleScorer.from_data(data, smoothing=1.0, min_support=2)
    assert scorer.rules(1) == [Rule(body=(0,), relation=1, confidence=0.5)]  # two of three pairs, and one for doubt
    assert scorer.rules(0)[0].confidence == pytest.approx(2 / 3)  # both pairs


def test_it_is_told_and_bad_arguments_are_named():
    data = graph([(0, 0, 1), (0, 1, 1)] * 2)
    scorer = RuleScorer.from_data(data, min_support=1)
    assert repr(scorer) == "RuleScorer(6, 2, rules=4)"
    again = RuleScorer(**scorer.config())
    again.load_state_dict(scorer.state_dict())
    head, rel = torch.tensor([0]), torch.tensor([1])
    assert torch.equal(again.score_tails(head, rel), scorer.score_tails(head, rel))
    assert RuleScorer.from_data(graph([])).score_tails(head, rel).tolist() == [[0.0] * NODES]
    assert RuleScorer(6, 2).rules(0) == []
    for name, value in (("smoothing", -1.0), ("min_support", 0), ("max_rules", 0), ("max_degree", 0)):
        with pytest.raises(ConfigError, match=f"{name}: expected .*, got {value}"):
            RuleScorer.from_data(data, **{name: value})
