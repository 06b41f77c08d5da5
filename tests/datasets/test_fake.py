import pytest
import torch

from torch_geometric_dsom.data import split_triples, validate
from torch_geometric_dsom.datasets import FakeMMKG
from torch_geometric_dsom.errors import ConfigError

SIZES = {"num_entities": 120, "num_relations": 4, "num_kinds": 12, "num_facts": 240, "dim": 6, "noise": 0.05}


def kinds(data, relation):
    """Kinds up to their names, from the facts alone: entities that follow the same heads are of one kind."""
    facts = torch.cat([split_triples(data, split) for split in ("train", "val", "test")])
    facts = facts[facts[:, 1] == relation]
    parent = list(range(2 * data.num_nodes))  # an entity as head, and as tail

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for h, _, t in facts.tolist():
        parent[root(h)] = root(data.num_nodes + t)
    return [root(i) for i in range(data.num_nodes)], [root(data.num_nodes + i) for i in range(data.num_nodes)]


def test_keeps_the_data_contract_and_its_sizes():
    data = FakeMMKG(**SIZES)[0]
    validate(data)
    assert data.num_nodes == 120
    assert data.edge_type.bincount().tolist() == [240] * 4
    assert data.val_edge_type.bincount().tolist() == data.test_edge_type.bincount().tolist() == [40] * 4
    rows = torch.cat([split_triples(data, split) for split in ("train", "val", "test")])
    assert rows.unique(dim=0).size(0) == rows.size(0)  # no fact twice, in no two splits


def test_facts_lead_from_kind_to_kind():
    """Twelve kinds of ten: facts fall apart into components of at most ten heads and ten tails."""
    data = FakeMMKG(**SIZES)[0]
    for relation in range(4):
        as_head, as_tail = kinds(data, relation)
        facts = torch.cat([split_triples(data, split) for split in ("train", "val", "test")])
        facts = facts[facts[:, 1] == relation]
        components = {as_head[h] for h, _, _ in facts.tolist()}
        assert 12 <= len(components) < 20  # a kind of which few facts are drawn may fall apart
        for component in components:
            assert sum(c == component for c in as_head) <= 10
            assert sum(c == component for c in as_tail) <= 10


def test_same_seed_same_graph_and_the_global_random_state_stays():
    before = torch.get_rng_state()
    one, same, other = (FakeMMKG(**SIZES, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.edge_index, same.edge_index)
    assert torch.equal(one.x_image, same.x_image)
    assert not torch.equal(one.edge_index, other.edge_index)


def test_features_show_what_the_truth_says():
    """An entity's feature for a relation is nearest to those of its own kind, or not, as planted."""
    dataset = FakeMMKG(**{**SIZES, "num_entities": 240, "num_facts": 1200}, rare=0.3)
    data = dataset[0]
    is_rare = torch.tensor([label.startswith("rare") for label in data.entity_labels])
    assert is_rare.sum() == 72
    for relation in range(4):
        _, as_tail = kinds(data, relation)
        names = {name: number for number, name in enumerate(sorted(set(as_tail)))}
        group = torch.tensor([names[name] for name in as_tail])
        common_group = torch.bincount(group)[group] > 5  # seen as a tail at all
        for name, truth in dataset.truth.items():
            x = data[f"x_{name}"][:, 6 * relation : 6 * (relation + 1)]
            # Means over common entities: what a model would learn from training facts.
            means = torch.stack([x[(group == g) & ~is_rare].mean(dim=0) for g in range(len(names))])
            right = torch.cdist(x, means.nan_to_num(1e3)).argmin(dim=-1) == group
            common = right[~is_rare & common_group].float().mean().item()
            rare = right[is_rare & common_group].float().mean().item()
            if truth[relation] == "informative":
                assert min(common, rare) > 0.9, (name, relation)
            elif truth[relation] == "misleading":
                assert common > 0.9, (name, relation)
                assert rare < 0.3, (name, relation)
            else:
                assert max(common, rare) < 0.4, (name, relation)


def test_rare_entities_have_few_training_facts_and_most_held_out_ones():
    data = FakeMMKG(**SIZES)[0]
    is_rare = torch.tensor([label.startswith("rare") for label in data.entity_labels])
    assert is_rare[data.edge_index].float().mean() < 0.25
    assert is_rare[data.test_edge_index].float().mean() > 0.6


def test_truth_is_completed_and_missing_entities_are_zero():
    dataset = FakeMMKG(**SIZES, truth={"sound": "useless", "scent": ["misleading"] * 4}, missing=0.25)
    assert dataset.truth == {"sound": ["useless"] * 4, "scent": ["misleading"] * 4}
    data = dataset[0]
    assert data.sound_mask.float().mean().item() == pytest.approx(0.75, abs=0.12)
    assert (data.x_sound[~data.sound_mask] == 0).all()
    assert len(dataset) == 1
    assert "misleading" in repr(dataset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_facts": 10_000}, "num_facts: expected at most"),
        ({"num_kinds": 1}, "num_kinds"),
        ({"num_entities": 5000}, "num_entities: expected at most 4096"),
        ({"num_relations": 0}, "num_relations"),
        ({"noise": -1.0}, "noise"),
        ({"rare": 1.0}, "rare"),
        ({"missing": -0.1}, "missing"),
        ({"truth": {"image": "wrong"}}, r"truth\['image'\]: expected one of .* got 'wrong'"),
        ({"truth": {"image": ["useless"]}}, r"truth\['image'\]: expected one for each of 4 relations, got 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        FakeMMKG(**{**SIZES, **options})
