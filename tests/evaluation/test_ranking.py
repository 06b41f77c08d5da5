import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.errors import DataError, NonFiniteError
from torch_geometric_dsom.evaluation import filtered_ranks

N = 7
TABLES = st.lists(st.lists(st.integers(-3, 3), min_size=N, max_size=N), min_size=1, max_size=5)


def by_hand(scores, target, known):
    """One rank, by looking at one entity after the other."""
    optimistic = pessimistic = 1
    for entity, score in enumerate(scores):
        if entity == target or entity in known:
            continue
        optimistic += score > scores[target]
        pessimistic += score >= scores[target]
    return optimistic, pessimistic


def pairs(known):
    rows = [(row, entity) for row, entities in enumerate(known) for entity in sorted(entities)]
    row, entity = torch.tensor(rows, dtype=torch.long).reshape(-1, 2).T
    return row, entity


def test_by_hand():
    scores = torch.tensor([[5.0, 4.0, 4.0, 4.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    ranks = filtered_ranks(scores, torch.tensor([1, 0]))
    assert ranks.optimistic.tolist() == [2, 1]
    assert ranks.pessimistic.tolist() == [4, 5]
    assert ranks.realistic.tolist() == [3, 3]
    ranks = filtered_ranks(scores, torch.tensor([1, 0]), pairs([{0, 2}, {0, 1, 2, 3, 4}]))
    assert ranks.optimistic.tolist() == [1, 1]
    assert ranks.pessimistic.tolist() == [2, 1]


@st.composite
def cases(draw):
    table = draw(TABLES)
    row = draw(st.lists(st.integers(0, len(table) - 1), max_size=8))
    target = draw(st.lists(st.integers(0, N - 1), min_size=len(row), max_size=len(row)))
    known = [draw(st.sets(st.integers(0, N - 1))) for _ in table]
    return table, row, target, known


@given(cases(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.booleans())
def test_equals_a_loop(case, dtype, in_place):
    table, row, target, known = case
    scores = torch.tensor(table, dtype=dtype)
    facts = torch.tensor(target, dtype=torch.long), pairs(known), torch.tensor(row, dtype=torch.long)
    ranks = filtered_ranks(scores, *facts, in_place=in_place)
    expected = [by_hand(table[r], t, known[r]) for r, t in zip(row, target, strict=True)]
    assert list(zip(ranks.optimistic.tolist(), ranks.pessimistic.tolist(), strict=True)) == expected
    assert in_place or scores.tolist() == table


@given(cases())
def test_invariants(case):
    table, row, target, known = case
    scores = torch.tensor(table, dtype=torch.float64)
    row, target = torch.tensor(row, dtype=torch.long), torch.tensor(target, dtype=torch.long)
    raw, found = filtered_ranks(scores, target, row=row), filtered_ranks(scores, target, pairs(known), row)
    for ranks in (raw, found):
        assert bool((ranks.optimistic >= 1).all())
        assert bool((ranks.optimistic <= ranks.realistic).all())
        assert bool((ranks.realistic <= ranks.pessimistic).all())
        assert bool((ranks.pessimistic <= N).all())
    assert bool((found.realistic <= raw.realistic).all())  # leaving answers out never hurts
    stretched = filtered_ranks(scores.exp() * 2 - 1, target, pairs(known), row)  # ranks see the order alone
    assert torch.equal(stretched.realistic, found.realistic)
    # turned around, the first comes last
    turned = filtered_ranks(-scores, target, row=row)
    assert torch.equal(turned.optimistic + raw.pessimistic, torch.full_like(raw.optimistic, N + 1))


def test_constant_scores_gain_nothing():
    scores = torch.full((3, 11), 0.25)
    assert filtered_ranks(scores, torch.tensor([0, 5, 10])).realistic.tolist() == [6.0, 6.0, 6.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_scores_are_refused(value):
    scores = torch.zeros(3, 4)
    scores[1, 2] = scores[2, 0] = value
    with pytest.raises(NonFiniteError, match=rf"scores: 2 of 12 .* the first {value} at query 1, entity 2"):
        filtered_ranks(scores, torch.tensor([0, 1, 2]))


def test_scores_whose_sum_overflows_are_fine():
    scores = torch.full((1, 4), 3e38)
    assert filtered_ranks(scores, torch.tensor([0])).realistic.tolist() == [2.5]


def test_shapes_are_checked():
    with pytest.raises(DataError, match=r"scores: expected \[Q, N\], got \[4\]"):
        filtered_ranks(torch.zeros(4), torch.tensor([0]))
    with pytest.raises(DataError, match=r"target: expected one entity for each of 2 rows, got \[3\]"):
        filtered_ranks(torch.zeros(2, 4), torch.tensor([0, 1, 2]))


def test_caller_keeps_gradients_and_scores():
    scores = torch.zeros(2, 3, requires_grad=True)
    ranks = filtered_ranks(scores, torch.tensor([0, 1]), pairs([{1}, set()]))
    assert not ranks.optimistic.requires_grad
    assert scores.tolist() == [[0.0] * 3] * 2
