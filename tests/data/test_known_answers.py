import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import ConfigError, DataError

N, R = 6, 3
FACTS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1)), max_size=40)
QUERIES = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 2 * R - 1)), max_size=15)


def graph(**kwargs):
    return Data(
        edge_index=torch.tensor([[0, 0, 0], [2, 1, 1]]),
        edge_type=torch.tensor([0, 0, 0]),
        test_edge_index=torch.tensor([[0], [4]]),
        test_edge_type=torch.tensor([0]),
        num_nodes=N,
        num_relations=R,
        **kwargs,
    )


def look_up(known, *queries):
    entity, relation = torch.tensor(queries).reshape(-1, 2).long().T
    row, answer = known.rows(entity, relation)
    return list(zip(row.tolist(), answer.tolist(), strict=True))


def test_by_hand():
    known = KnownAnswers.from_data(graph())
    assert look_up(known, (0, 0), (5, 0), (1, R), (0, 0)) == [(0, 1), (0, 2), (0, 4), (2, 0), (3, 1), (3, 2), (3, 4)]
    assert len(known) == 4
    assert repr(known) == "KnownAnswers(queries=4, answers=6)"


def test_only_the_chosen_splits():
    assert look_up(KnownAnswers.from_data(graph(), splits=("train", "val")), (0, 0)) == [(0, 1), (0, 2)]
    assert look_up(KnownAnswers.from_data(graph(), splits="test"), (0, 0)) == [(0, 4)]


@given(FACTS, QUERIES)
def test_equals_a_dictionary_of_sets(facts, queries):
    sets = {}
    for head, relation, tail in facts:
        sets.setdefault((head, relation), set()).add(tail)
        sets.setdefault((tail, relation + R), set()).add(head)
    known = KnownAnswers(torch.tensor(facts, dtype=torch.long).reshape(-1, 3), N, R)
    assert look_up(known, *queries) == [(i, a) for i, query in enumerate(queries) for a in sorted(sets.get(query, ()))]
    assert len(known) == len(sets)


def test_no_facts():
    known = KnownAnswers(torch.empty(0, 3, dtype=torch.long), N, R)
    assert look_up(known, (0, 0)) == []
    assert len(known) == 0


def test_relations_out_of_range_are_refused():
    known = KnownAnswers.from_data(graph())
    with pytest.raises(DataError, match=r"relation: expected values in \[0, 6\), got 0 to 6"):
        look_up(known, (0, 0), (0, 6))
    with pytest.raises(DataError, match="got -1 to -1"):
        look_up(known, (1, -1))


def test_unsound_facts_are_refused():
    with pytest.raises(DataError, match="expected each relation"):
        KnownAnswers(torch.tensor([[0, R, 0]]), N, R)
    with pytest.raises(ConfigError, match="splits"):
        KnownAnswers.from_data(graph(), splits=())


def test_sizes_cannot_be_changed():
    known = KnownAnswers.from_data(graph())
    assert (known.num_entities, known.num_relations) == (N, R)
    with pytest.raises(AttributeError):
        known.num_relations = 4
