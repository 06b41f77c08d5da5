import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.nn import Path, PathScorer, strongest_paths

NODES, RELATIONS, STAY = 4, 2, 4
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), min_size=1, max_size=6)


def scorer_of(facts, layers=2):
    head, relation, tail = torch.tensor(facts).T
    data = Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=NODES, num_relations=RELATIONS)
    scorer = PathScorer.from_data(data, dim=4, layers=layers, attention_dim=3)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in scorer.parameters():
            value.copy_(torch.randn(value.shape, generator=g))
    return scorer


@settings(max_examples=25)
@given(FACTS, st.integers(1, 6))
def test_they_are_the_best_of_all(facts, most):
    """All walks of two steps, staying included; those that differ in when they stay are one path."""
    scorer = scorer_of(facts)
    for head, relation, tail in itertools.product(range(2), (0, 3), range(NODES)):
        first, second = (
            list(zip(*(x.tolist() for x in step), strict=True)) for step in scorer.messages(head, relation)
        )
        every = {}
        for (_, p, u, one), (source, q, v, two) in itertools.product(first, second):
            if u == source and v == tail:
                moves = [(kind, node) for kind, node in ((p, u), (q, v)) if kind != STAY]
                path = tuple(kind for kind, _ in moves), (head, *(node for _, node in moves))
                every[path] = max(every.get(path, 0.0), one * two)
        expected = sorted(every.values(), reverse=True)[:most]
        found = strongest_paths(scorer, head, relation, tail, most)
        assert [path.weight for path in found] == pytest.approx(expected)
        for path in found:
            assert every[path.relations, path.entities] == pytest.approx(path.weight)


def test_messages_walk_along_facts_and_stay():
    scorer = scorer_of([(0, 1, 2)], layers=1)
    (step,) = scorer.messages(0, 1)
    assert list(zip(step.source.tolist(), step.kind.tolist(), step.target.tolist(), strict=True)) == [
        (0, STAY, 0),
        (0, 1, 2),
    ]
    assert ((step.weight > 0) & (step.weight < 1)).all()
    assert strongest_paths(scorer, 0, 1, 2) == [Path((1,), (0, 2), pytest.approx(float(step.weight[1])))]
    assert strongest_paths(scorer, 2, 0, 0)[0].relations == (3,)  # inverse
    assert strongest_paths(scorer, 0, 1, 3) == []
