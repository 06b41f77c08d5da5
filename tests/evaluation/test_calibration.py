import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import Calibration, bin_confidences, calibration, fit_temperature
from torch_geometric_dsom.nn import ComplEx


def test_bins_by_hand():
    confidence = torch.tensor([0.05, 0.95, 0.91, 0.50, 1.0])
    correct = torch.tensor([False, True, False, True, True])
    found = bin_confidences(confidence, correct, bins=10)
    assert isinstance(found, Calibration)
    assert found.count.tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert torch.allclose(found.accuracy[[0, 5, 9]], torch.tensor([0.0, 1.0, 2 / 3], dtype=torch.float64))
    assert found.error == pytest.approx((0.05 + 0.5 + abs(2.0 - 2.86)) / 5)
    assert found.bias == pytest.approx((0.05 - 0.5 + 0.86) / 5)
    assert found.to_dict()["count"] == [1, 1, 3]


def test_a_scorer_that_says_what_is_so_is_calibrated():
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(200_000, generator=generator)
    correct = torch.rand(200_000, generator=generator) < confidence
    assert bin_confidences(confidence, correct).error < 0.01
    assert bin_confidences(confidence, torch.zeros(200_000, dtype=torch.bool)).error == pytest.approx(0.5, abs=0.01)


def test_equals_a_loop_over_queries(small_graph):
    model = ComplEx(small_graph.num_nodes, small_graph.num_relations, rank=4, init_scale=1.0)
    found = calibration(model, small_graph, "val", bins=5)
    answers = KnownAnswers.from_data(small_graph)
    confidence, correct = [], []
    for head, relation, target in with_inverses(split_triples(small_graph, "val"), small_graph.num_relations).tolist():
        scores = model.score_tails(torch.tensor([head]), torch.tensor([relation]))[0].detach().double()
        others = answers.rows(torch.tensor([head]), torch.tensor([relation]))[1]
        scores[[e for e in others.tolist() if e != target]] = -torch.inf
        prob = scores.exp() / scores.exp().sum()
        confidence.append(prob.max())
        correct.append(prob.argmax() == target)
    expected = bin_confidences(torch.stack(confidence), torch.stack(correct), bins=5)
    assert torch.equal(found.count, expected.count)
    assert found.error == pytest.approx(expected.error, abs=1e-5)


def test_wrong_arguments_are_named(small_graph):
    with pytest.raises(ConfigError, match="bins: expected a positive number, got 0"):
        bin_confidences(torch.rand(2), torch.tensor([True, False]), bins=0)
    empty = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=1)
    with pytest.raises(DataError, match="found none in 'val'"):
        calibration(ComplEx(3, 1, rank=2), empty)


def test_a_question_is_asked_once():
    asked = []

    class Listening:
        def score_tails(self, head, rel, candidates=None):
            asked.extend(zip(head.tolist(), rel.tolist(), strict=True))
            return torch.arange(5.0).expand(head.numel(), 5)

    data = Data(
        edge_index=torch.tensor([[0, 1, 0, 0], [1, 2, 2, 3]]), edge_type=torch.tensor([0, 0, 0, 0]), num_nodes=5
    )
    data.num_relations = 1
    calibration(Listening(), data, split="train")
    assert sorted(asked[4:]) == [(0, 0), (1, 0), (1, 1), (2, 1), (3, 1)]  # after four that tell the dtype


class Scaled:
    def __init__(self, model, factor):
        self.model, self.factor = model, factor

    def score_tails(self, head, rel, candidates=None):
        return self.model.score_tails(head, rel) * self.factor


def test_a_temperature_is_the_likeliest_of_a_loop(small_graph, trained):
    model = Scaled(trained.teachers["structure"], 8.0)
    tried, loss = (0.5, 2.0, 4.0, 8.0, 16.0), []
    answers = KnownAnswers.from_data(small_graph, splits=("train", "val"))
    for temperature in tried:
        total = 0.0
        for head, rel, target in with_inverses(split_triples(small_graph, "val"), small_graph.num_relations).tolist():
            scores = model.score_tails(torch.tensor([head]), torch.tensor([rel]))[0].detach().double() / temperature
            others = answers.rows(torch.tensor([head]), torch.tensor([rel]))[1]
            scores[[e for e in others.tolist() if e != target]] = -torch.inf
            total -= float(scores.log_softmax(dim=0)[target])
        loss.append(total)
    best = tried[loss.index(min(loss))]
    assert best not in (tried[0], tried[-1])
    assert fit_temperature(model, small_graph, temperatures=tried) == best
    assert fit_temperature(Scaled(model, 2.0), small_graph, temperatures=tried) == 2 * best
    whole = KnownAnswers.from_data(small_graph)
    no_test = fit_temperature(model, small_graph, known=answers)
    assert fit_temperature(model, small_graph) == no_test  # no test fact is read
    assert fit_temperature(model, small_graph, known=whole, temperatures=[3.0]) == 3.0
    for wrong in ([], [1.0, 0.0], [float("nan")]):
        with pytest.raises(ConfigError, match="temperatures: expected some, all of them positive"):
            fit_temperature(model, small_graph, temperatures=wrong)


def test_what_is_fitted_is_calibrated(small_graph, trained):
    model = Scaled(trained.teachers["structure"], 8.0)
    temperature = fit_temperature(model, small_graph)
    assert calibration(Scaled(model, 1 / temperature), small_graph).error < calibration(model, small_graph).error
