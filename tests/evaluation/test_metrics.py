import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import RankingMetrics, RankingResult

RANKS = st.lists(st.integers(2, 400).map(lambda twice: twice / 2), min_size=1, max_size=30)


def gathered():
    metrics = RankingMetrics()
    metrics.update(torch.tensor([1.0, 2.0]), "tail")
    metrics.update(torch.tensor([4.0, 10.5]), direction="head")
    metrics.update(torch.tensor([3.0]), "tail")
    return metrics


def test_by_hand():
    result = gathered().compute()
    assert result.count == 5
    assert result.mrr == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10.5 + 1 / 3) / 5)
    assert [result.hits_at(k) for k in (1, 3, 10, 11)] == pytest.approx([0.2, 0.6, 0.8, 1.0])
    assert result.mean_rank == pytest.approx(4.1)
    assert result.tail.ranks.tolist() == [1.0, 2.0, 3.0]
    assert result.head.ranks.tolist() == [4.0, 10.5]
    assert result.head.tail is None
    assert result.ranks.tolist() == [1.0, 2.0, 4.0, 10.5, 3.0]


def test_to_dict():
    numbers = gathered().compute().to_dict()
    assert list(numbers) == ["both", "head", "tail"]
    assert list(numbers["both"]) == ["mrr", "hits@1", "hits@3", "hits@10", "mean_rank", "count"]
    assert numbers["head"] == {
        "mrr": pytest.approx((1 / 4 + 1 / 10.5) / 2),
        "hits@1": 0.0,
        "hits@3": 0.0,
        "hits@10": 0.5,
        "mean_rank": 7.25,
        "count": 2,
    }
    only = RankingResult(torch.ones(1), torch.ones(1)).to_dict()
    assert list(only) == ["both", "tail"]


def test_texts():
    result = gathered().compute()
    assert repr(result) == (
        "RankingResult(mrr=0.4357, hits@1=0.2000, hits@3=0.6000, hits@10=0.8000, mean_rank=4.1, count=5)"
    )
    assert [line.split()[0] for line in str(result).splitlines()] == ["MRR", "both", "head", "tail"]
    assert "0.4357" in str(result)
    assert repr(gathered()) == "RankingMetrics(count=5)"


@given(RANKS, RANKS)
def test_parts_make_the_whole(head, tail):
    metrics = RankingMetrics()
    metrics.update(torch.tensor(head), "head")
    metrics.update(torch.tensor(tail), "tail")
    both = metrics.compute()
    share = len(head) / (len(head) + len(tail))
    for value in (lambda r: r.mrr, lambda r: r.mean_rank, lambda r: r.hits_at(3)):
        assert value(both) == pytest.approx(share * value(both.head) + (1 - share) * value(both.tail))
    assert both.hits_at(1) <= both.hits_at(3) <= both.hits_at(10)
    assert both.hits_at(1) <= both.mrr <= 1
    assert 1 / both.mrr <= both.mean_rank + 1e-9  # the harmonic mean is the smaller one


def test_nothing_is_an_error_not_nan():
    metrics = RankingMetrics()
    with pytest.raises(DataError, match="at least one"):
        metrics.compute()
    metrics.update(torch.empty(0), "tail")
    with pytest.raises(DataError, match="at least one"):
        metrics.compute()
    with pytest.raises(DataError, match="at least one"):
        RankingResult(torch.empty(0), torch.empty(0))


def test_reset_forgets():
    metrics = gathered()
    metrics.reset()
    assert repr(metrics) == "RankingMetrics(count=0)"
    metrics.update(torch.tensor([2.0]), "head")
    assert metrics.compute().mrr == 0.5


def test_what_came_is_kept_when_the_caller_overwrites_it():
    metrics, ranks = RankingMetrics(), torch.ones(2, dtype=torch.float64)
    metrics.update(ranks, "tail")
    ranks.fill_(9)
    assert metrics.compute().mean_rank == 1.0


def test_unsound_arguments_are_refused():
    metrics = RankingMetrics()
    with pytest.raises(ConfigError, match="direction: .*got 'tails'"):
        metrics.update(torch.ones(1), "tails")
    with pytest.raises(DataError, match=r"ranks: expected finite numbers from 1, got 0\.5 and 1 more"):
        metrics.update(torch.tensor([0.5, 2.0, float("nan")]), "tail")
    with pytest.raises(DataError, match="ranks, direction"):
        RankingResult(torch.ones(2), torch.ones(3))
    with pytest.raises(ConfigError, match="k: expected a positive number, got 0"):
        gathered().compute().hits_at(0)
