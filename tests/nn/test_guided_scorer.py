import json

import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import (
    GUIDES,
    ComplEx,
    Guide,
    GuidedScorer,
    RidgeScorer,
    RuleScorer,
    guide_from_config,
    make_guided_scorer,
)

FACTS = torch.tensor([[0, 0, 1], [0, 1, 1], [2, 0, 3], [2, 1, 3], [4, 0, 5]])

DATA = Data(edge_index=FACTS[:, [0, 2]].T, edge_type=FACTS[:, 1], num_nodes=6, num_relations=2)


@pytest.fixture
def guided():
    scorer = ComplEx(6, 2, rank=3, generator=torch.Generator().manual_seed(0))
    return GuidedScorer(scorer, RuleScorer.from_data(DATA, 1.0, 2), weight=2.0)


def test_scores_are_the_weighted_sum(guided):
    head, rel = torch.tensor([4, 1, 4]), torch.tensor([1, 0, 3])
    evidence = guided.guide.score_tails(head, rel)
    assert evidence.sum() > 0
    expected = guided.scorer.score_tails(head, rel) + 2.0 * evidence
    torch.testing.assert_close(guided.score_tails(head, rel), expected)
    some = torch.tensor([5, 2])
    torch.testing.assert_close(guided.score_tails(head, rel, some), expected[:, some])


def test_each_relation_may_have_a_weight_of_its_own(guided):
    weights = [0.0, 1.0, 2.5, 0.5]
    head, rel = torch.arange(6).repeat_interleave(4), torch.arange(4).repeat(6)
    for guide in (guided.guide, *(GUIDES[name].from_data(DATA) for name in ("ridge", "frequency"))):
        evidence = guide.score_tails(head, rel)
        assert all(evidence[rel == r].any() for r in range(4))
        both = GuidedScorer(guided.scorer, guide, weights)
        expected = guided.scorer.score_tails(head, rel) + torch.tensor(weights)[rel][:, None] * evidence
        torch.testing.assert_close(both.score_tails(head, rel), expected)
        some = torch.tensor([5, 2])
        torch.testing.assert_close(both.score_tails(head, rel, some), expected[:, some])
        again = make_guided_scorer(json.loads(json.dumps(both.config())))
        again.load_state_dict(both.state_dict())
        assert torch.equal(again.score_tails(head, rel), both.score_tails(head, rel))
        assert "weight=0.0 to 2.5 by relation" in repr(again)


def test_it_comes_back_from_its_plain_values(guided):
    again = make_guided_scorer(guided.config())
    again.load_state_dict(guided.state_dict())
    head, rel = torch.arange(6), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.equal(again.score_tails(head, rel), guided.score_tails(head, rel))
    assert "weight=2.0" in repr(again)


@pytest.mark.parametrize("name", GUIDES)
def test_each_guide_is_built_again_from_plain_values(name):
    guide = RuleScorer.from_data(DATA, 1.0, 2) if name == "rules" else GUIDES[name].from_data(DATA)
    again = guide_from_config(json.loads(json.dumps({"name": name, **guide.config()})))
    again.load_state_dict(guide.state_dict())
    head, rel = torch.arange(6), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.equal(again.score_tails(head, rel), guide.score_tails(head, rel))
    assert guide.score_tails(head, rel).any()


def test_bad_parts_are_named(guided):
    with pytest.raises(ConfigError, match=r"guide: expected \(6, 2\) entities and relations, got \(6, 3\)"):
        GuidedScorer(guided.scorer, RuleScorer(6, 3))
    with pytest.raises(ConfigError, match="weight: expected zero or a positive number, got -1"):
        GuidedScorer(guided.scorer, guided.guide, -1.0)
    with pytest.raises(ConfigError, match="weight: expected zero or a positive number, got -1"):
        GuidedScorer(guided.scorer, guided.guide, [0.0, 1.0, -1.0, 0.0])
    with pytest.raises(ConfigError, match="weight: expected one for each of 4 relations, got 3"):
        GuidedScorer(guided.scorer, guided.guide, [0.0, 1.0, 1.0])
    config = guided.config()
    with pytest.raises(ConfigError, match=r"\['weight'\] missing"):
        make_guided_scorer({key: value for key, value in config.items() if key != "weight"})
    with pytest.raises(ConfigError, match="guide: .*num_cats"):
        make_guided_scorer({**config, "guide": {**config["guide"], "num_cats": 1}})


def test_a_guided_scorer_may_have_a_second_guide(guided):
    ridge = RidgeScorer(6, 2, num_facts=0)
    both = GuidedScorer(guided, ridge, 0.5)
    again = make_guided_scorer(both.config())
    again.load_state_dict(both.state_dict())
    head, rel = torch.arange(6), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = guided.score_tails(head, rel) + 0.5 * ridge.score_tails(head, rel)
    torch.testing.assert_close(again.score_tails(head, rel), expected)
    assert [type(part.guide) for part in (again, again.scorer)] == [RidgeScorer, RuleScorer]
    assert all(isinstance(part.guide, Guide) for part in (again, again.scorer))
    config = both.config()
    with pytest.raises(
        ConfigError, match=r"guide: expected the name of one of \['frequency', 'paths', 'ridge', 'rules'\], got 'cats'"
    ):
        make_guided_scorer({**config, "guide": {**config["guide"], "name": "cats"}})


def test_a_temperature_is_that_of_both_together(guided):
    head, rel = torch.tensor([0, 1, 2]), torch.tensor([1, 0, 1])
    cool = GuidedScorer(guided.scorer, guided.guide, guided.weight, temperature=2.5)
    torch.testing.assert_close(cool.score_tails(head, rel), guided.score_tails(head, rel) / 2.5)
    again = make_guided_scorer(json.loads(json.dumps(cool.config())))
    again.load_state_dict(cool.state_dict())
    torch.testing.assert_close(again.score_tails(head, rel), cool.score_tails(head, rel))
    assert "temperature" not in guided.config()
    assert cool.extra_repr() == f"{guided.extra_repr()}, temperature=2.5"
    with pytest.raises(ConfigError, match=r"temperature: expected a positive number, got 0\.0"):
        GuidedScorer(guided.scorer, guided.guide, temperature=0.0)
