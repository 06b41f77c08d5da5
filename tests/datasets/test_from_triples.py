import pytest
import torch

from torch_geometric_dsom.data import split_triples, validate
from torch_geometric_dsom.datasets import from_triples
from torch_geometric_dsom.errors import ConfigError, DataError

RING = [(f"e{i}", "next" if i % 2 else "after", f"e{(i * 7 + 1) % 20}") for i in range(20)]
RING += [(f"e{i}", "near", f"e{(i + 3) % 20}") for i in range(20)]


def named(data, split):
    return [
        (data.entity_ids[h], data.relation_ids[r], data.entity_ids[t])
        for h, r, t in split_triples(data, split).tolist()
    ]


def test_given_splits_are_kept_as_they_are():
    data = from_triples(RING[:30], RING[30:35], [("new", "near", "e0")])
    assert [named(data, split) for split in ("train", "val", "test")] == [
        RING[:30],
        RING[30:35],
        [("new", "near", "e0")],
    ]
    assert data.entity_ids[:3] == ["e0", "e1", "e8"]  # in the order in which they occur
    assert data.entity_labels[-1] == "new"
    validate(data)


def test_missing_splits_are_drawn_by_the_seed_and_training_keeps_everything():
    data = from_triples(RING, shares=(0.1, 0.2))
    sizes = [len(named(data, split)) for split in ("train", "val", "test")]
    assert sizes == [28, 4, 8]
    assert sorted(fact for split in ("train", "val", "test") for fact in named(data, split)) == sorted(RING)
    assert set(data.edge_index.flatten().tolist()) == set(range(20))
    assert set(data.edge_type.tolist()) == {0, 1, 2}
    same, other = from_triples(RING, shares=(0.1, 0.2)), from_triples(RING, shares=(0.1, 0.2), seed=1)
    assert torch.equal(data.test_edge_index, same.test_edge_index)
    assert not torch.equal(data.test_edge_index, other.test_edge_index)


def test_a_pandas_table_and_integers_do_as_well():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(RING, columns=["head", "relation", "tail"])
    table["weight"] = 1.0
    assert torch.equal(from_triples(table, shares=(0, 0)).edge_index, from_triples(RING, shares=(0, 0)).edge_index)
    numbers = from_triples(torch.tensor([[5, 0, 7], [7, 0, 5]]).numpy(), shares=(0, 0))
    assert numbers.entity_ids == ["5", "7"]
    with pytest.raises(DataError, match=r"train: expected the columns .* \['tail'\] missing"):
        from_triples(table.drop(columns="tail"))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([], "train: expected at least one fact, got none"),
        ([("a", "r")], r"train\[0\]: expected \(head, relation, tail\), got \('a', 'r'\)"),
        (["abc"], r"train\[0\]: expected \(head, relation, tail\), got 'abc'"),
        ([("a", "r", "b"), ("a", None, "b")], r"train\[1\]: expected strings or integers, got None"),
        ([("a", "r", 1.5)], "expected strings or integers, got 1.5"),
        ([("a", "r", float("nan"))], "expected strings or integers, got nan"),
        ([("a", "r", True)], "expected strings or integers, got True"),
        ([("a", " ", "b")], "expected a label, got an empty one"),
    ],
)
def test_bad_facts_are_named(facts, message):
    with pytest.raises(DataError, match=message):
        from_triples(facts)


def test_bad_shares_are_named():
    with pytest.raises(ConfigError, match="shares"):
        from_triples(RING, shares=(1.0, 0.1))
    with pytest.raises(ConfigError, match="at most"):
        from_triples([("a", "r", "b"), ("b", "r", "c")], shares=(0.5, 0.5))
