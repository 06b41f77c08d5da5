import pytest
import torch

from torch_geometric_dsom.data import KnownAnswers, Vocabulary
from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.trainer import Prediction, predict

WORDS = Vocabulary(["e0", "e1", "e2"], ["sun", "moon", "star"], ["r0"], ["orbits"])


class Scorer:
    """Scores 0, 1, 2 from the head's side, the other way round from the tail's."""

    def score_tails(self, head, rel, candidates=None):
        scores = torch.tensor([0.0, 1.0, 2.0])
        return (scores if int(rel) == 0 else scores.flip(0)).expand(head.numel(), 3)


def test_both_sides_by_hand():
    answers = predict(Scorer(), WORDS, head="sun", relation="orbits", k=2)
    assert [(a.rank, a.label, a.id, a.score) for a in answers] == [(1, "star", "e2", 2.0), (2, "moon", "e1", 1.0)]
    assert isinstance(answers[0], Prediction)
    assert answers[0].probability == pytest.approx(0.66524, abs=1e-5)  # e^2 / (1 + e + e^2)
    assert predict(Scorer(), WORDS, tail="sun", relation="orbits", k=1)[0].label == "sun"


def test_known_answers_are_left_out_or_marked():
    known = KnownAnswers(torch.tensor([[0, 0, 2]]), 3, 1)
    assert [a.label for a in predict(Scorer(), WORDS, "sun", "orbits", known=known)] == ["moon", "sun"]
    marked = predict(Scorer(), WORDS, "sun", "orbits", known=known, exclude_known=False)
    assert [(a.label, a.known) for a in marked] == [("star", True), ("moon", False), ("sun", False)]


def test_bad_queries_are_named():
    for kwargs, match in (
        ({"head": "sun"}, "relation"),
        ({"relation": "orbits"}, "exactly one"),
        ({"head": "sun", "tail": "sun", "relation": "orbits"}, "exactly one"),
        ({"head": "sn", "relation": "orbits"}, "did you mean 'sun'"),
        ({"head": "sun", "relation": "orbits", "k": 0}, "k: "),
    ):
        with pytest.raises(ConfigError, match=match):
            predict(Scorer(), WORDS, **kwargs)


def test_scores_that_are_not_finite_are_refused():
    class Broken:
        def score_tails(self, head, rel, candidates=None):
            return torch.full((1, 3), torch.nan)

    with pytest.raises(NonFiniteError, match="3 scores"):
        predict(Broken(), WORDS, "sun", "orbits")
