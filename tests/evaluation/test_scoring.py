import pytest
import torch
from torch import nn

from torch_geometric_dsom.errors import DataError
from torch_geometric_dsom.evaluation import TailScorer, device_of, score_into
from torch_geometric_dsom.evaluation.scoring import ScoreBuffer, evaluation_mode
from torch_geometric_dsom.nn import ComplEx, TransE

N, R = 6, 2


def model():
    return ComplEx(N, R, rank=4, init_scale=1.0, generator=torch.Generator().manual_seed(1)).requires_grad_(False)


class Biased(ComplEx):
    """A query and a table that are not the whole score."""

    def score_tails(self, head, rel, candidates=None):
        return super().score_tails(head, rel, candidates) + torch.arange(self.num_entities)


class Given(TailScorer):
    def __init__(self, scores):
        self.scores = scores

    def score_tails(self, head, rel, candidates=None):
        return self.scores


HEAD, REL = torch.tensor([0, 5, 3]), torch.tensor([0, 3, 1])


@pytest.mark.parametrize("scorer", [model(), TransE(N, R, rank=4).freeze()])
def test_scores_go_into_the_memory_that_is_given(scorer):
    table, out = scorer.entity_table(), torch.empty(3, N)
    assert score_into(scorer, HEAD, REL, table, out) is out
    assert torch.allclose(out, scorer.score_tails(HEAD, REL), atol=1e-6)


def test_narrow_table_gives_products_in_its_dtype():
    scorer = model()
    table = scorer.entity_table()
    narrow = score_into(scorer, HEAD, REL, table, torch.empty(3, N), table.bfloat16())
    expected = scorer.query(HEAD, REL, table).bfloat16() @ table.bfloat16().T
    assert torch.equal(narrow, expected.float())


def test_product_is_used_and_equal():
    scorer = model()
    score = ScoreBuffer(scorer, N, 3)
    expected = scorer.score_tails(HEAD, REL)
    assert torch.allclose(score(HEAD, REL), expected)
    scorer.score_tails = None  # from here on only the product is asked
    assert torch.allclose(score(HEAD[1:], REL[1:]), expected[1:])


def test_table_is_computed_once():
    scorer, calls = model(), []
    table = scorer.entity_table()
    scorer.entity_table = lambda: calls.append(1) or table
    score = ScoreBuffer(scorer, N, 3)
    score(HEAD, REL)
    first = len(calls)
    score(HEAD, REL)
    assert len(calls) == first


def test_score_tails_decides_where_the_product_is_not_the_score():
    scorer = Biased(N, R, rank=4, init_scale=1e-3).requires_grad_(False)
    assert torch.equal(ScoreBuffer(scorer, N, 3)(HEAD, REL), scorer.score_tails(HEAD, REL))


def test_a_bias_of_inverse_relations_alone_is_not_overlooked():
    class Late(ComplEx):
        def score_tails(self, head, rel, candidates=None):
            scores = super().score_tails(head, rel, candidates)
            return scores + (rel >= R).unsqueeze(-1) * torch.arange(self.num_entities)

    scorer = Late(N, R, rank=4).requires_grad_(False)
    score = ScoreBuffer(scorer, N, 3)
    score(HEAD[:1], REL[:1])
    assert torch.equal(score(HEAD, REL), scorer.score_tails(HEAD, REL))


def test_buffer_is_reused_and_the_scorer_keeps_its_tensor():
    scores = torch.arange(2.0 * N).reshape(2, N)
    score = ScoreBuffer(Given(scores), N, 2)
    first = score(HEAD[:2], REL[:2])
    first.fill_(-1)
    assert scores[1, 5] == 11
    assert score(HEAD[:2], REL[:2]).data_ptr() == first.data_ptr()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_narrow_scores_are_widened(dtype):
    scores = torch.tensor([[0, 1, 1, 0, 1, 0]]).to(dtype)
    found = ScoreBuffer(Given(scores), N, 1)(HEAD[:1], REL[:1])
    assert found.dtype in (torch.float32, torch.float64)
    assert found.tolist() == [[0, 1, 1, 0, 1, 0]]


@pytest.mark.parametrize(
    ("scores", "got"),
    [
        (torch.zeros(1, N - 1), r"\[1, 5\] torch.float32"),
        (torch.zeros(N), r"\[6\] torch.float32"),
        (torch.zeros(1, N, dtype=torch.complex64), r"\[1, 6\] torch.complex64"),
        ([[0.0] * N], "list"),
    ],
)
def test_other_things_than_scores_are_refused(scores, got):
    with pytest.raises(DataError, match=rf"scorer.score_tails: expected real scores of shape \[1, 6\], got {got}"):
        ScoreBuffer(Given(scores), N, 1)(HEAD[:1], REL[:1])


def test_modes_come_back_part_by_part():
    net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with evaluation_mode(net):
        assert not any(part.training for part in net.modules())
    assert [part.training for part in net.modules()] == [True, True, False]


def test_modes_come_back_after_an_error():
    net = nn.Dropout()
    with pytest.raises(DataError), evaluation_mode(net):
        raise DataError
    assert net.training


def test_some_candidates_are_columns_of_all_scores():
    scorer, some = model(), torch.tensor([4, 0, 2])
    head, rel = torch.tensor([0, 1]), torch.tensor([3, 0])
    every = score_into(scorer, head, rel, scorer.entity, torch.empty(2, N))
    found = score_into(scorer, head, rel, scorer.entity, torch.empty(2, 3), candidates=some)
    assert torch.allclose(found, every[:, some])


def test_device_of_modules_and_other_things():
    assert device_of(model()) == torch.device("cpu")
    assert device_of(Given(torch.zeros(1))) is None
    assert device_of(nn.Identity()) is None
