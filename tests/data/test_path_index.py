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
def test_walks_are_as_long_as_a_loop_counts(facts, max_degree):
    steps = [fact for h, r, t in facts for fact in ((h, r, t), (t, r + RELATIONS, h))]
    different = set(steps)
    degree = {node: sum(h == node for h, _, _ in different) for node in range(NODES)}
    messages, reached = [0, 0, 0], [0, 0, 0]
    for head, _, _ in steps:
        seen = {head}
        for step in range(3):
            left = [
                fact for fact in different if fact[0] in seen and (fact[0] == head or degree[fact[0]] <= max_degree)
            ]
            messages[step] += len(seen) + len(left)
            seen |= {tail for _, _, tail in left}
            reached[step] += len(seen)
    number = max(len(steps), 1)
    expected = [(one / number, other / number) for one, other in zip(messages, reached, strict=True)]
    assert path_index.walk_sizes(graph(facts), 3, max_degree) == expected


def test_walks_are_counted_for_some_of_many_facts(monkeypatch):
    """Of ten queries along a line the first, the fifth and the ninth: from entities 0, 4 and, the other way, 4."""
    monkeypatch.setattr(path_index, "ASKED", 3)
    line = graph([(node, 0, node + 1) for node in range(NODES - 1)])
    assert path_index.walk_sizes(line, 1, 200) == [(8 / 3, 8 / 3)]
