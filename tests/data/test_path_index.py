import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.data import PathIndex, path_index
from torch_geometric_dsom.errors import ConfigError

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), max_size=12)


def graph(facts):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=NODES, num_relations=RELATIONS)


def walked(facts, max_degree):
    """All paths by a loop over pairs of facts."""
    steps = {(h, r, t) for h, r, t in facts} | {(t, r + RELATIONS, h) for h, r, t in facts}
    degree = {node: sum(h == node for h, _, _ in steps) for node in range(NODES)}
    found = {(h, (r,), t) for h, r, t in steps if h != t}
    for h, p, m in steps:
        for start, q, t in steps:
            if start == m and degree[m] <= max_degree and len({h, m, t}) == 3:
                found.add((h, (p, q), t))
    return found


def told(index, parts):
    return [(h, index.relations(b), t) for part in parts for h, b, t in zip(*(x.tolist() for x in part), strict=True)]


@given(FACTS, st.integers(1, 8))
def test_paths_are_those_of_a_loop(facts, max_degree):
    index = PathIndex(graph(facts), max_degree)
    found = told(index, index)
    assert len(found) == len(set(found))
    assert set(found) == walked(facts, max_degree)
    assert index.num_paths >= len(found)


@given(FACTS, st.integers(1, 30))
def test_a_few_at_a_time_they_are_the_same(facts, chunk):
    index = PathIndex(graph(facts))
    whole = told(index, index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_index, "CHUNK", chunk)
        parts = list(index)
    assert sorted(told(index, parts)) == sorted(whole)
    heads = [set(head.tolist()) for head, _, _ in parts]
    assert sum(len(some) for some in heads) == len(set().union(*heads))  # all of a head together


@given(FACTS)
def test_paths_of_some_bodies(facts):
    index = PathIndex(graph(facts))
    bodies = torch.arange(0, index.num_bodies, 3)
    some = {(h, int(bodies[b]), t) for part in index.chunks(bodies) for h, b, t in zip(*part, strict=True)}
    some = {(int(h), body, int(t)) for h, body, t in some}
    every = {(int(h), int(b), int(t)) for part in index for h, b, t in zip(*part, strict=True)}
    assert some == {(h, b, t) for h, b, t in every if b % 3 == 0}
    assert not any(len(part[0]) for part in index.chunks(bodies[:0]))


def test_a_graph_without_facts_has_no_paths():
    index = PathIndex(graph([]))
    assert list(index) == []
    assert index.num_paths == 0
    assert repr(index) == "PathIndex(entities=6, relations=2)"


def test_graphs_whose_paths_have_no_number_are_refused():
    huge = graph([(0, 0, 1)])
    huge.num_nodes, huge.num_relations = 2_000_000, 1000
    with pytest.raises(ConfigError, match="below 2\\^63 to number paths, got 2000000 entities and 1000 relations"):
        PathIndex(huge)


def test_hubs_are_not_run_through_and_bounds_are_told():
    star = graph([(0, 0, tail) for tail in range(1, 6)])
    assert {len(index) for _, index, _ in told(PathIndex(star, 4), PathIndex(star, 4))} == {1}
    assert {len(index) for _, index, _ in told(PathIndex(star, 5), PathIndex(star, 5))} == {1, 2}
    with pytest.raises(ConfigError, match="max_degree: expected a positive number, got 0"):
        PathIndex(star, 0)


@given(FACTS, st.integers(1, 8))
def test_walks_cross_as_many_facts_as_a_loop_counts(facts, max_degree):
    steps = [fact for h, r, t in facts for fact in ((h, r, t), (t, r + RELATIONS, h))]
    degree = {node: sum(h == node for h, _, _ in steps) for node in range(NODES)}
    first = [degree[head] for head, _, _ in steps]
    second = [
        degree[head] + sum(degree[t] for h, _, t in steps if h == head and degree[t] <= max_degree)
        for head, _, _ in steps
    ]
    sizes = path_index.walk_sizes(graph(facts), 3, max_degree)
    number = max(len(steps), 1)
    assert sizes[0] == pytest.approx(sum(first) / number)
    assert sizes[1] == pytest.approx(min(sum(second) / number, len(steps)))
    assert sizes[1] <= sizes[2] <= len(steps)
    assert path_index.walk_sizes(graph(facts), 1, max_degree) == sizes[:1]
