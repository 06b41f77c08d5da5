import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.report import Confusion, confusions


def by_loop(scorer, data, split_facts, known, relations=3):
    """Wrong answers that are likelier than the right one, query by query."""
    found = []
    for h, r, t in split_facts:
        for entity, kind, answer in ((h, r, t), (t, r + relations, h)):
            prob = scorer.score_tails(torch.tensor([entity]), torch.tensor([kind]))[0].detach().softmax(-1).tolist()
            others = [e for e in range(60) if (entity, kind, e) not in known]
            wrong = max(others, key=lambda e: prob[e])
            if prob[wrong] > prob[answer]:
                found.append(
                    (prob[wrong], entity, kind % relations, "tail" if kind < relations else "head", answer, wrong)
                )
    return sorted(found, reverse=True)


def test_they_are_the_surest_of_all(trained, small_graph):
    known, facts = set(), {}
    for split, prefix in (("train", ""), ("val", "val_"), ("test", "test_")):
        heads, tails = small_graph[f"{prefix}edge_index"].tolist()
        facts[split] = list(zip(heads, small_graph[f"{prefix}edge_type"].tolist(), tails, strict=True))
        known |= {(h, r, t) for h, r, t in facts[split]} | {(t, r + 3, h) for h, r, t in facts[split]}
    expected = by_loop(trained.student, small_graph, facts["test"], known)
    found = confusions(trained.student, small_graph, k=5, per_relation=None, other=trained.baseline)
    assert isinstance(found[0], Confusion)
    seen, first = set(), []
    for row in expected:
        if row[1:4] not in seen:
            seen.add(row[1:4])
            first.append(row)
    for one, (prob, entity, relation, asked, _, wrong) in zip(found, first[:5], strict=True):
        assert one.wrong_probability == pytest.approx(prob, abs=1e-6)
        assert (one.entity, one.relation, one.asked, one.wrong) == (entity, relation, asked, wrong)
        assert one.wrong_probability > one.probability
        assert one.rank > 1


def test_ranks_are_those_of_evaluation(trained, small_graph):
    test = list(zip(*small_graph.test_edge_index.tolist(), small_graph.test_edge_type.tolist(), strict=True))
    own, theirs = evaluate(trained.student, small_graph), evaluate(trained.baseline, small_graph)
    for one in confusions(trained.student, small_graph, other=trained.baseline):
        pair = (one.entity, one.answer) if one.asked == "tail" else (one.answer, one.entity)
        number = test.index((*pair, one.relation))
        assert one.rank == getattr(own, one.asked).ranks[number].item()
        assert one.others_rank == getattr(theirs, one.asked).ranks[number].item()
        assert (one.others_best == one.answer) == (one.others_rank == 1)


def test_limits(trained, small_graph):
    found = confusions(trained.student, small_graph, k=50, per_relation=2)
    for relation in range(3):
        assert sum(one.relation == relation for one in found) <= 2
    assert found[0].others_best is None
    for name in ("k", "per_relation"):
        with pytest.raises(ConfigError, match=f"{name}: expected a positive number, got 0"):
            confusions(trained.student, small_graph, **{name: 0})


def test_a_scorer_that_is_never_wrong(small_graph):
    class Oracle:
        def score_tails(self, head, rel, candidates=None):
            scores = torch.zeros(head.numel(), 60)
            for prefix in ("", "val_", "test_"):
                for (h, t), r in zip(
                    small_graph[f"{prefix}edge_index"].T.tolist(),
                    small_graph[f"{prefix}edge_type"].tolist(),
                    strict=True,
                ):
                    scores[(head == h) & (rel == r), t] = 9.0
                    scores[(head == t) & (rel == r + 3), h] = 9.0
            return scores

    assert confusions(Oracle(), small_graph) == []
