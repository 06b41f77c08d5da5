import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import RidgeScorer

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), max_size=14)
SOME = [(0, 0, 3), (0, 1, 5), (1, 0, 3), (1, 1, 5), (2, 0, 3), (4, 0, 2), (2, 1, 2)]


def graph(facts, features=None):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    data = Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=NODES, num_relations=RELATIONS)
    if features is not None:
        data.x_text, data.text_mask = features
    return data


def fitted(facts, penalty, rows=None):
    """Each question regressed on all others, one regression after the other: answers of questions by name."""
    questions = {}
    for h, r, t in set(facts):
        questions.setdefault((h, r), set()).add(t)
        questions.setdefault((t, r + RELATIONS), set()).add(h)
    names = sorted(questions)
    x = torch.zeros(NODES, len(names), dtype=torch.double)
    for column, name in enumerate(names):
        x[list(questions[name]), column] = 1
    found = {}
    for column, name in enumerate(names):
        others = torch.cat([x[:, :column], x[:, column + 1 :]] + ([] if rows is None else [rows.double()]), dim=1)
        left = others.T @ others + penalty * torch.eye(others.size(1), dtype=torch.double)
        found[name] = others @ torch.linalg.solve(left, others.T @ x[:, column])
    return found


def evidence(found, floor):
    """The evidence for every fact, by loops."""
    scores = torch.zeros(NODES, 2 * RELATIONS, NODES, dtype=torch.double)
    for h in range(NODES):
        for r in range(2 * RELATIONS):
            for t in range(NODES):
                for question, entity in (((h, r), t), ((t, (r + RELATIONS) % (2 * RELATIONS)), h)):
                    belief = float(found[question][entity]) if question in found else 0.0
                    scores[h, r, t] += math.log1p(max(belief, 0.0) / floor)
    return scores


@settings(max_examples=30)
@given(FACTS, st.sampled_from([0.5, 3.0]))
def test_evidence_is_that_of_one_regression_a_question(facts, penalty):
    scorer = RidgeScorer.from_data(graph(facts), penalty=penalty, floor=0.1)
    head, rel = torch.arange(NODES).repeat_interleave(2 * RELATIONS), torch.arange(2 * RELATIONS).repeat(NODES)
    expected = evidence(fitted(facts, penalty), 0.1)
    found = scorer.score_tails(head, rel).view(NODES, 2 * RELATIONS, NODES)
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=1e-3)


def test_modalities_are_columns_of_the_regression():
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([True, True, False, True, True, True])
    x = torch.randn(NODES, 3, generator=generator)
    scorer = RidgeScorer.from_data(graph(SOME, (x, mask)), penalty=1.0, modality_weight=2.0, floor=0.1)
    centred = x - x[mask].mean(dim=0)
    rows = 2.0**0.5 * torch.where(mask[:, None], centred / centred.norm(dim=1, keepdim=True), 0.0)
    head, rel = torch.tensor([2, 4, 3]), torch.tensor([1, 1, 2])
    expected = evidence(fitted(SOME, 1.0, rows), 0.1)[head, rel]
    torch.testing.assert_close(scorer.score_tails(head, rel).double(), expected, atol=1e-4, rtol=1e-4)
    alone = RidgeScorer.from_data(graph(SOME, (x, mask)), penalty=1.0, floor=0.1, kinds=[])
    plain = RidgeScorer.from_data(graph(SOME), penalty=1.0, floor=0.1)
    assert torch.equal(alone.score_tails(head, rel), plain.score_tails(head, rel))
    assert (alone.score_tails(head, rel) - scorer.score_tails(head, rel)).abs().max() > 0.1


def test_candidates_weights_and_what_is_there_already():
    scorer = RidgeScorer.from_data(graph(SOME), penalty=1.0)
    head, rel, some = torch.tensor([2, 0, 5]), torch.tensor([1, 0, 2]), torch.tensor([5, 1, 3])
    every = scorer.score_tails(head, rel)
    assert every.max() > 0
    torch.testing.assert_close(scorer.score_tails(head, rel, some), every[:, some])
    scores = torch.ones(3, NODES)
    assert scorer.add_to(scores, head, rel, weight=2.0) is scores
    torch.testing.assert_close(scores, 1 + 2 * every)


def test_many_facts_are_looked_at_in_pieces(monkeypatch):
    head, rel = torch.arange(NODES), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = RidgeScorer.from_data(graph(SOME), penalty=1.0).score_tails(head, rel)
    monkeypatch.setattr("torch_geometric_dsom.nn.ridge_scorer.CHUNK", 7)
    torch.testing.assert_close(RidgeScorer.from_data(graph(SOME), penalty=1.0).score_tails(head, rel), expected)


def test_questions_of_many_answers_are_summed_up_once(monkeypatch):
    head, rel = torch.arange(NODES).repeat_interleave(4), torch.arange(4).repeat(NODES)
    plain = RidgeScorer.from_data(graph(SOME), penalty=1.0).solve()
    assert plain.hub.numel() == 0  # of six entities
    monkeypatch.setattr("torch_geometric_dsom.nn.ridge_scorer.HUBS", 3)
    scorer = RidgeScorer.from_data(graph(SOME), penalty=1.0).solve()
    assert sorted(divmod(int(key), NODES) for key in scorer.hub) == [(2, 3), (3, 5)]  # three and two answers
    torch.testing.assert_close(scorer.score_tails(head, rel), plain.score_tails(head, rel))


def test_it_comes_back_without_the_inverse():
    mask = torch.ones(NODES, dtype=torch.bool)
    scorer = RidgeScorer.from_data(graph(SOME, (torch.eye(NODES), mask)), penalty=2.0).solve()
    assert "inverse" not in scorer.state_dict()
    again = RidgeScorer(**scorer.config())
    with torch.no_grad():
        again.inverse = torch.zeros(NODES, NODES)  # of other facts
    again.load_state_dict(scorer.state_dict())
    head, rel = torch.arange(NODES), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.equal(again.score_tails(head, rel), scorer.score_tails(head, rel))
    assert repr(again) == "RidgeScorer(6, 2, facts=7, modalities=['text'])"


def test_a_graph_without_facts_tells_nothing():
    head, rel = torch.tensor([0, 5]), torch.tensor([0, 3])
    assert RidgeScorer.from_data(graph([])).score_tails(head, rel).tolist() == [[0.0] * NODES] * 2


@pytest.mark.parametrize(
    ("name", "number"), [("penalty", 0.0), ("penalty", math.nan), ("floor", 0.0), ("modality_weight", -1.0)]
)
def test_bad_numbers_are_refused(name, number):
    with pytest.raises(ConfigError, match=f"{name}: expected"):
        RidgeScorer.from_data(graph(SOME), **{name: number})


def test_a_modality_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"kinds: expected some of \[\], got 'sound'"):
        RidgeScorer.from_data(graph(SOME), kinds=["sound"])
