import copy

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import evaluate, fit_temperature
from torch_geometric_dsom.nn import ComplEx, EmbeddingScorer, FrequencyScorer, GuidedScorer, RidgeScorer, RuleScorer
from torch_geometric_dsom.trainer import fit_guides

KINDS = RuleScorer, RidgeScorer, FrequencyScorer
HEAD, REL = torch.arange(60), torch.arange(60) % 6


def guides_of(data):
    return [RuleScorer.from_data(data), RidgeScorer.from_data(data, kinds=[]), FrequencyScorer.from_data(data)]


@pytest.fixture
def scorer():
    return ComplEx(60, 3, rank=3, generator=torch.Generator().manual_seed(0))


def test_guides_speak_in_the_fused_teacher_one_after_the_other(small_graph, small_options, trained, tmp_path):
    options = {"rule_weight": 2.0, "ridge_weight": 0.5, "frequency_weight": 0.25, **small_options}
    trainer = DSoMTrainer(seed=3, progress=False, **options).fit(small_graph, epochs=1)
    fused = trainer.teachers["fused"]
    evidence = [kind.from_data(small_graph).score_tails(HEAD, REL) for kind in KINDS]
    assert min(part.max() for part in evidence) > 0
    expected = trained.teachers["fused"].score_tails(HEAD, REL)
    for weight, part in zip((2.0, 0.5, 0.25), evidence, strict=True):
        expected = expected + weight * part
    torch.testing.assert_close(fused.score_tails(HEAD, REL), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(trainer.teachers["text"].entity, trained.teachers["text"].entity)
    trainer.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run").teachers["fused"]
    torch.testing.assert_close(again.score_tails(HEAD, REL), fused.score_tails(HEAD, REL))


def test_there_is_a_guided_teacher_of_structure_alone(small_graph, small_options):
    bare = copy.copy(small_graph)
    for name in ("x_image", "image_mask", "x_text", "text_mask"):
        del bare[name]
    teachers = DSoMTrainer(progress=False, ridge_weight=1.0, **small_options).fit_teachers(bare)
    assert list(teachers) == ["structure", "fused"]
    assert not torch.equal(teachers["fused"].score_tails(HEAD, REL), teachers["structure"].score_tails(HEAD, REL))


def test_validation_chooses_each_weight_after_the_one_before(small_graph, scorer):
    weights = (0.0, 1.0, 4.0)
    known = KnownAnswers.from_data(small_graph, splits=("train", "val"))  # no test fact is read
    found, chosen = scorer, []
    for guide in guides_of(small_graph):
        scores = [
            evaluate(GuidedScorer(found, guide, weight), small_graph, split="val", known=known).mrr
            for weight in weights
        ]
        chosen.append(weights[scores.index(max(scores))])
        found = GuidedScorer(found, guide, chosen[-1])
    assert any(chosen)
    fitted = fit_guides(scorer, small_graph, weights)
    torch.testing.assert_close(fitted.score_tails(HEAD, REL), found.score_tails(HEAD, REL))


def test_each_relation_gets_the_weight_that_ranks_its_validation_facts_best(small_graph, scorer):
    weights, s = (0.0, 1.0, 4.0), 2.0
    known = KnownAnswers.from_data(small_graph, splits=("train", "val"))
    facts = [(h, r, t) for h, r, t in split_triples(small_graph, "val").tolist()]
    facts += [(t, r + 3, h) for h, r, t in facts]
    found = scorer
    for guide in guides_of(small_graph):
        gains = []
        for weight in weights:
            gain = []
            for h, r, t in facts:
                score = found.score_tails(torch.tensor([h]), torch.tensor([r]))[0].detach()
                score = score + weight * guide.score_tails(torch.tensor([h]), torch.tensor([r]))[0]
                others = set(known.rows(torch.tensor([h]), torch.tensor([r]))[1].tolist()) - {t}
                left = [score[j] for j in range(60) if j not in others and j != t]
                gain.append(1 / (1 + sum(x > score[t] for x in left) + 0.5 * sum(x == score[t] for x in left)))
            gains.append(gain)
        chosen = []
        for relation in range(6):
            value = [
                sum(g for g, (_, r, _) in zip(gain, facts, strict=True) if r == relation) + s * sum(gain) / len(facts)
                for gain in gains
            ]
            chosen.append(weights[value.index(max(value))])
        found = GuidedScorer(found, guide, chosen)
    fitted = fit_guides(scorer, small_graph, weights, shrinkage=s)
    torch.testing.assert_close(fitted.score_tails(HEAD, REL), found.score_tails(HEAD, REL))
    told = []
    while isinstance(fitted, GuidedScorer):
        each = fitted.weight if isinstance(fitted.weight, tuple) else (fitted.weight,) * 6  # one where all are alike
        assert each == found.weight
        told.append(fitted.weight)
        fitted, found = fitted.scorer, found.scorer
    assert found is scorer
    assert any(isinstance(weight, tuple) for weight in told)
    assert 4.0 in told


def test_without_validation_facts_nothing_is_chosen(small_graph, scorer):
    bare = copy.copy(small_graph)
    del bare.val_edge_index, bare.val_edge_type
    with pytest.raises(DataError, match="found none in 'val'"):
        fit_guides(scorer, bare)


def test_features_are_asked_for_by_name(small_graph, scorer):
    assert fit_guides(scorer, small_graph, [1.0]).scorer.guide.feature_dims == {}
    assert list(fit_guides(scorer, small_graph, [1.0], kinds=["text"]).scorer.guide.feature_dims) == ["text"]


def test_guides_are_asked_for_by_name_in_their_order(small_graph, scorer):
    assert isinstance(fit_guides(scorer, small_graph, [1.0], guides=["frequency"]).scorer, EmbeddingScorer)
    two = fit_guides(scorer, small_graph, [1.0], guides=["frequency", "rules"])
    assert [type(part) for part in (two.guide, two.scorer.guide)] == [RuleScorer, FrequencyScorer]
    for names in (["rules", "cats"], ["rules", "rules"]):
        with pytest.raises(ConfigError, match=r"guides: expected some of \['rules', .*\], each once, got \['rules', '"):
            fit_guides(scorer, small_graph, guides=names)


def test_without_weights_the_tables_are_left(small_graph, scorer):
    found = fit_guides(scorer, small_graph, [0.0])
    assert isinstance(found, EmbeddingScorer)
    assert torch.equal(found.score_tails(HEAD, REL), scorer.score_tails(HEAD, REL))
    for weights in ([], [1.0, -1.0]):
        with pytest.raises(ConfigError, match=r"weights: expected some, zero or positive, got \["):
            fit_guides(scorer, small_graph, weights)
    with pytest.raises(ConfigError, match=r"shrinkage: expected a positive number, got 0\.0"):
        fit_guides(scorer, small_graph, shrinkage=0.0)


def test_the_fused_teacher_may_be_calibrated(small_graph, small_options, tmp_path):
    options = {"rule_weight": 2.0, "frequency_weight": 3.0, "progress": False, **small_options}
    plain = DSoMTrainer(seed=3, **options).fit_teachers(small_graph)["fused"]
    trainer = DSoMTrainer(seed=3, calibrate=True, **options).fit(small_graph, epochs=1)
    fused = trainer.teachers["fused"]
    assert fused.temperature == fit_temperature(plain, small_graph) != 1.0
    expected = plain.score_tails(HEAD, REL) / fused.temperature
    torch.testing.assert_close(fused.score_tails(HEAD, REL), expected)
    ensemble = trainer.objective(small_graph).ensemble  # which asks the parts of a teacher itself
    asked = ensemble.ask(HEAD, REL)[:, list(trainer.teachers).index("fused")]
    struck = asked == -torch.inf
    torch.testing.assert_close(asked[~struck], expected[~struck], atol=1e-4, rtol=1e-4)
    trainer.save(tmp_path / "run")
    assert DSoMTrainer.load(tmp_path / "run").teachers["fused"].temperature == fused.temperature
    bare = copy.copy(small_graph)
    for name in ("val_edge_index", "val_edge_type"):
        del bare[name]
    with pytest.raises(DataError, match="found none in 'val'"):
        DSoMTrainer(seed=3, calibrate=True, **options).fit_teachers(bare)
    with pytest.raises(ConfigError, match=r"calibrate: expected False where each of .*'path_weight'\] is 0, got True"):
        DSoMTrainer(seed=3, calibrate=True, progress=False, **small_options)
