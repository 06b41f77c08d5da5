import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.data.triples import check_triples, graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError


def graph(**kwargs):
    return Data(
        edge_index=torch.tensor([[0, 1], [2, 3]]),
        edge_type=torch.tensor([5, 6]),
        val_edge_index=torch.tensor([[4], [0]]),
        val_edge_type=torch.tensor([1]),
        **kwargs,
    )


def test_rows_are_head_relation_tail():
    assert split_triples(graph(), "train").tolist() == [[0, 5, 2], [1, 6, 3]]
    assert split_triples(graph(), "val").tolist() == [[4, 1, 0]]


def test_valid_is_an_alias():
    assert torch.equal(split_triples(graph(), "valid"), split_triples(graph(), "val"))


def test_missing_split_is_empty():
    triples = split_triples(graph(), "test")
    assert triples.shape == (0, 3)
    assert triples.dtype == torch.long


def test_unknown_split_names_its_neighbour():
    with pytest.raises(ConfigError, match=r"split: .*got 'tset'; did you mean 'test'\?"):
        split_triples(graph(), "tset")
    with pytest.raises(ConfigError, match="got 'xyz'$"):
        split_triples(graph(), "xyz")


def test_inverses_by_hand():
    assert with_inverses(torch.tensor([[0, 1, 2], [3, 0, 3]]), 2).tolist() == [
        [0, 1, 2],
        [3, 0, 3],
        [2, 3, 0],
        [3, 2, 3],
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 9)), max_size=20))
def test_inverse_of_the_inverse_is_the_fact(facts):
    triples = torch.tensor(facts, dtype=torch.long).reshape(-1, 3)
    both = with_inverses(triples, 4)
    head, relation, tail = both[len(facts) :].unbind(dim=-1)
    assert torch.equal(torch.stack([tail, relation - 4, head], dim=-1), triples)
    assert torch.equal(both[: len(facts)], triples)


def test_sizes_must_be_told():
    assert graph_sizes(graph(num_nodes=5, num_relations=7)) == (5, 7)
    with pytest.raises(DataError, match="data.num_nodes"):
        graph_sizes(graph(num_relations=7))
    with pytest.raises(DataError, match="data.num_relations"):
        graph_sizes(graph(num_nodes=5))


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ([[0, 0, 5]], r"facts: expected each tail in \[0, 5\), got 5"),
        ([[0, 2, 0]], r"facts: expected each relation in \[0, 2\), got 2"),
        ([[-1, 0, 0]], r"facts: expected each head in \[0, 5\), got -1"),
        ([[0, 0]], r"facts: expected \[E, 3\], got \[1, 2\]"),
    ],
)
def test_facts_out_of_range_are_refused(triples, message):
    with pytest.raises(DataError, match=message):
        check_triples(torch.tensor(triples), 5, 2, name="facts")


def test_no_facts_are_in_range():
    check_triples(torch.empty(0, 3, dtype=torch.long), 1, 1)
