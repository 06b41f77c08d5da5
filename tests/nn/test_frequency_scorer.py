import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import FrequencyScorer, frequency_scorer

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), max_size=14)


def graph(facts, nodes=NODES, relations=RELATIONS):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=nodes, num_relations=relations)


def answers(facts):
    """How often each entity answers each relation, ``[2R, N]``, each fact once."""
    both = {fact for h, r, t in facts for fact in ((h, r, t), (t, r + RELATIONS, h))}
    return torch.tensor(
        [[sum(r == rel and t == node for _, r, t in both) for node in range(NODES)] for rel in range(2 * RELATIONS)]
    )


def level(count):
    """0, 1, 2, up to 4, up to 8 and so on."""
    return count if count < 2 else 1 + math.ceil(math.log2(count))


def regressed(shown, penalty):
    """What a ridge regression expects of each relation from all others, one after the other, ``[2R, N]``."""
    expected = torch.zeros_like(shown)
    for relation in range(len(shown)):
        rest = torch.arange(len(shown)) != relation
        x, y = shown[rest].T, shown[relation]
        slope = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.size(1), dtype=x.dtype), x.T @ y)
        expected[relation] = x @ slope
    return expected


@given(FACTS, st.sampled_from([0.5, 3.0]), st.sampled_from([0.5, 4.0]))
def test_evidence_is_that_of_loops(facts, penalty, shrinkage):
    scorer = FrequencyScorer.from_data(graph(facts), penalty, shrinkage)
    count = answers(facts)
    expected = regressed((count > 0).double(), penalty)
    borders = torch.tensor(frequency_scorer.EXPECTATIONS, dtype=torch.double)
    assume(((expected[..., None] - borders).abs() > 1e-5).all())
    kind = [[sum(value > border for border in borders.tolist()) for value in row] for row in expected.tolist()]
    missing = [  # relation, expectation and level of each fact's tail, were the fact not there
        (rel, kind[rel][node], level(int(count[rel, node]) - 1))
        for rel in range(4)
        for node in range(NODES)
        for _ in range(int(count[rel, node]))
    ]
    total = len(missing) + frequency_scorer.LEVELS
    evidence = torch.zeros(4, NODES)
    for rel in range(4):
        own = [(bin_, seen) for of, bin_, seen in missing if of == rel]
        here = [(kind[rel][node], level(int(count[rel, node]))) for node in range(NODES)]
        for node, (bin_, now) in enumerate(here):
            share = (sum(seen == now for _, _, seen in missing) + 1) / total
            alike, level_size = here.count((bin_, now)), sum(other == now for _, other in here)
            prior = (sum(seen == now for _, seen in own) + 2 * share) / (len(own) + 2) / level_size
            rate = own.count((bin_, now)) / max(1, len(own))
            evidence[rel, node] = math.log(NODES * (rate + shrinkage * prior) / (alike + shrinkage))
    head, rel = torch.tensor([0, 3, 5, 1]), torch.tensor([3, 0, 2, 3])
    torch.testing.assert_close(scorer.score_tails(head, rel), evidence[rel])
    some = torch.tensor([4, 0, 5])
    torch.testing.assert_close(scorer.score_tails(head, rel, some), evidence[rel][:, some])


def test_levels_are_powers_of_two_and_counting_goes_in_chunks(monkeypatch):
    facts = [(head, 0, 39) for head in range(38)] + [(head, 1, 38) for head in range(9)] + [(1, 1, 37), (2, 1, 37)]
    whole = FrequencyScorer.from_data(graph(facts, nodes=40))
    counts = torch.tensor([0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 1 << 20])
    assert frequency_scorer.level(counts).tolist() == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, frequency_scorer.LEVELS - 1]
    monkeypatch.setattr(frequency_scorer, "CHUNK", 40)  # one relation after the other
    parts = FrequencyScorer.from_data(graph(facts, nodes=40)).state_dict()
    assert all(torch.equal(parts[name], part) for name, part in whole.state_dict().items())


def test_weights_are_those_of_one_regression_after_the_other(monkeypatch):
    torch.manual_seed(0)
    shown = torch.rand(30, 5) < 0.4
    expected = regressed(shown.T.double(), penalty=2.0)
    monkeypatch.setattr(frequency_scorer, "CHUNK", 5)  # one pair after the other
    weight = frequency_scorer.regression(shown.nonzero()[:, 1], shown.sum(dim=1), 5, penalty=2.0)
    torch.testing.assert_close(weight.T.double() @ shown.T.double(), expected, atol=1e-5, rtol=0)


def test_who_has_the_only_answer_is_passed_over_for_who_misses_it():
    # Eight play for a club and were born somewhere, nine plays for it alone; ten does neither.
    facts = [(player, 0, 11 + player) for player in range(8)] + [(player, 1, 10) for player in range(9)]
    scorer = FrequencyScorer.from_data(graph(facts, nodes=20))
    born = scorer.score_tails(torch.tensor([19]), torch.tensor([0 + RELATIONS]))[0]
    assert born.argmax().item() == 8
    assert (born[:8] < born[9]).all()


def test_evidence_is_added_to_scores_with_one_weight_or_one_for_each_query():
    scorer = FrequencyScorer.from_data(graph([(0, 0, 1), (2, 0, 1), (3, 1, 4)]))
    head, rel = torch.tensor([5, 5]), torch.tensor([0, 0])
    evidence = scorer.score_tails(head, rel)
    assert evidence[0].unique().numel() > 1
    for dtype in (torch.float32, torch.bfloat16):
        scores = torch.ones(2, NODES, dtype=dtype)
        assert scorer.add_to(scores, head, rel, weight=2.0) is scores
        torch.testing.assert_close(scores.float(), 1 + 2 * evidence, rtol=2e-2, atol=2e-2)
    scores = scorer.add_to(torch.zeros(2, NODES), head, rel, weight=torch.tensor([0.0, 3.0]))
    assert not scores[0].any()
    torch.testing.assert_close(scores[1], 3 * evidence[1])


def test_it_is_told_and_bad_arguments_are_named():
    scorer = FrequencyScorer.from_data(graph([(0, 0, 1), (0, 1, 1)] * 2), penalty=0.25)
    assert repr(scorer) == "FrequencyScorer(6, 2)"
    again = FrequencyScorer(**scorer.config())
    again.load_state_dict(scorer.state_dict())
    head, rel = torch.tensor([0]), torch.tensor([1])
    assert torch.equal(again.score_tails(head, rel), scorer.score_tails(head, rel))
    for name in ("penalty", "shrinkage"):
        for number in (0.0, -1.5, math.nan):
            with pytest.raises(ConfigError, match=f"{name}: expected a positive number"):
                FrequencyScorer.from_data(graph([]), **{name: number})


def test_only_training_facts_are_counted():
    data = graph([(0, 0, 1)])
    before = FrequencyScorer.from_data(data).state_dict()
    data.val_edge_index, data.val_edge_type = torch.tensor([[2], [3]]), torch.tensor([0])
    after = FrequencyScorer.from_data(data).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
