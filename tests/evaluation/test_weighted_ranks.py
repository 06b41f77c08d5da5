import importlib

import pytest
import torch
from tables import Table
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import DataError, NonFiniteError
from torch_geometric_dsom.evaluation import evaluate, weighted_ranks

module = importlib.import_module("torch_geometric_dsom.evaluation.weighted_ranks")  # not the function of its name
N, R = 12, 2
WEIGHTS = [0.0, 0.5, 3.0]


@pytest.fixture
def graph():
    g = torch.Generator().manual_seed(0)
    data = Data(num_nodes=N, num_relations=R)
    for prefix, size in (("", 40), ("val_", 20), ("test_", 20)):
        data[f"{prefix}edge_index"] = torch.randint(N, (2, size), generator=g)
        data[f"{prefix}edge_type"] = torch.randint(R, (size,), generator=g)
    return data


@pytest.fixture
def scores():  # whole numbers, so that there are ties
    return torch.randint(-3, 4, (2, N, 2 * R, N), generator=torch.Generator().manual_seed(1)).float()


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_ranks_are_those_of_the_sums(graph, scores, batch, monkeypatch):
    monkeypatch.setattr(module, "SCORE_BYTES", 4 * N * batch)
    known = KnownAnswers.from_data(graph, splits=("train", "val"))
    found = weighted_ranks(Table(scores[0]), Table(scores[1]), WEIGHTS, graph, known=known)
    for ranks, weight in zip(found, WEIGHTS, strict=True):
        expected = evaluate(Table(scores[0] + weight * scores[1]), graph, split="val", known=known)
        assert torch.equal(ranks, expected.ranks)
    assert not torch.equal(found[0], found[2])


def test_each_question_is_asked_once_for_all_weights(graph, scores):
    scorer, guide = Table(scores[0]), Table(scores[1])
    weighted_ranks(scorer, guide, WEIGHTS, graph, split="test")
    sample = 4  # the first questions are asked twice, to learn what kind of numbers is answered
    for asked in (scorer.asked[sample:], guide.asked[sample:]):
        heads, tails = graph.test_edge_index.tolist()
        kinds = graph.test_edge_type.tolist()
        questions = {*zip(heads, kinds, strict=True), *((t, r + R) for t, r in zip(tails, kinds, strict=True))}
        assert sorted(asked) == sorted(questions)


def test_what_cannot_be_ranked_is_refused(graph, scores):
    bad = scores[1].clone()
    bad[:, :, 0] = torch.inf
    with pytest.raises(NonFiniteError, match="scores: .* are NaN or infinite"):
        weighted_ranks(Table(scores[0]), Table(bad), [1.0], graph)
    with pytest.raises(DataError, match=r"scorer\.score_tails: expected real scores of shape \[4, 12\]"):
        weighted_ranks(Table(scores[0]), Table(scores[1][..., :5]), [1.0], graph)
    del graph.val_edge_index, graph.val_edge_type
    with pytest.raises(DataError, match="found none in 'val'"):
        weighted_ranks(Table(scores[0]), Table(scores[1]), [1.0], graph)
