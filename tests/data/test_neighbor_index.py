import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.errors import ConfigError

# 0 -a-> 1, 0 -a-> 2, 2 -b-> 3, 1 -b-> 1 (a loop); 4 is alone; relations a = 0, b = 1, inverses 2 and 3
TRAIN = [(0, 0, 1), (0, 0, 2), (2, 1, 3), (1, 1, 1)]


def graph():
    h, r, t = torch.tensor(TRAIN).T
    held = torch.tensor([[4], [0]])
    return Data(
        edge_index=torch.stack([h, t]), edge_type=r, val_edge_index=held, val_edge_type=torch.tensor([0]),
        test_edge_index=held.flip(0), test_edge_type=torch.tensor([1]), num_nodes=5, num_relations=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "query", "expected"),
    [
        ("head", (0, 0, 1), {1, 2}),
        ("head", (2, 1, 4), {0, 3, 4}),
        ("head", (1, 0, 0), {0, 1}),
        ("head", (4, 0, 0), {0}),  # validation and test facts are no neighbours
        ("answers", (0, 0, 2), {1, 2}),
        ("answers", (0, 1, 2), {2}),
        ("answers", (1, 2, 0), {0}),  # the inverse of a
        ("answers", (3, 3, 4), {2, 4}),
        ("target", (0, 0, 2), {0, 2, 3}),
        ("target", (0, 0, 4), {4}),
        ("none", (0, 0, 1), {1}),
    ],
)
def test_groups_by_hand(kind, query, expected):
    rows = NeighborIndex(graph(), kind).rows(*torch.tensor([query]).T)
    assert sorted(rows.entity.tolist()) == sorted(expected)  # each once


@pytest.mark.parametrize("kind", ["head", "answers", "target", "none"])
def test_equals_a_loop_on_a_random_graph(kind):
    g = torch.Generator().manual_seed(0)
    n, r, e = 20, 3, 60
    data = Data(
        edge_index=torch.randint(n, (2, e), generator=g), edge_type=torch.randint(r, (e,), generator=g), num_nodes=n
    )
    data.num_relations = r
    head, rel, tail = (
        torch.randint(n, (50,), generator=g),
        torch.randint(2 * r, (50,), generator=g),
        torch.randint(n, (50,), generator=g),
    )
    mask = NeighborIndex(data, kind).rows(head, rel, tail).dense(n)
    facts = list(zip(data.edge_index[0].tolist(), data.edge_type.tolist(), data.edge_index[1].tolist(), strict=True))
    for i, (h, q, t) in enumerate(zip(head.tolist(), rel.tolist(), tail.tolist(), strict=True)):
        near = {"head": h, "target": t}.get(kind)
        group = {t}
        for a, p, b in facts:
            if near is not None:
                group |= {b} if a == near else set()
                group |= {a} if b == near else set()
            elif kind == "answers":
                group |= {b} if (a, p) == (h, q) else set()
                group |= {a} if (b, p + r) == (h, q) else set()
        assert set(mask[i].nonzero().flatten().tolist()) == group


def test_an_empty_batch_gives_no_pairs():
    nothing = torch.empty(0, dtype=torch.long)
    rows = NeighborIndex(graph()).rows(nothing, nothing, nothing)
    assert rows.entity.numel() == 0
    assert rows.num_rows == 0


def test_unknown_kind_gets_a_hint():
    with pytest.raises(ConfigError, match="'haed'; did you mean 'head'"):
        NeighborIndex(graph(), "haed")


def test_repr_and_move():
    index = NeighborIndex(graph(), "head")
    assert index.to("cpu") is index
    assert repr(index) == "NeighborIndex(kind='head', pairs=7)"


def test_topk_takes_the_best_scores_and_nothing_else():
    scores = torch.tensor([[0.1, 0.9, 0.3, 0.2, 0.8], [5.0, 4.0, 3.0, 2.0, 1.0]])
    index = NeighborIndex(graph(), "topk", k=2)
    zero = torch.zeros(2, dtype=torch.long)
    rows = index.rows(zero, zero, scores=scores)
    assert rows.dense(5).nonzero().tolist() == [[0, 1], [0, 4], [1, 0], [1, 1]]
    assert rows.row.numel() == 4
    assert index.per_query
    assert repr(index) == "NeighborIndex(kind='topk', k=2)"
    assert NeighborIndex(graph(), "topk", k=9).rows(zero, zero, scores=scores).dense(5).all()
    with pytest.raises(ConfigError, match=r"scores: expected \[2, 5\] for kind 'topk', got None"):
        index.rows(zero, zero)
    with pytest.raises(ConfigError, match="k: expected"):
        NeighborIndex(graph(), "topk", k=0)
