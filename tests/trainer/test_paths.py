import copy
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ComplEx, FrequencyScorer, PathScorer
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer import FitConfig, PathObjective, fit_guides, fit_paths
from torch_geometric_dsom.trainer.fit_config import PATH_FIT

HEAD, REL = torch.arange(60), torch.arange(60) % 6
SHAPE = {"dim": 6, "layers": 2, "attention_dim": 3}
PATHS = {"path_weight": 0.5, "path_dim": 6, "path_layers": 2, "path_fit": {"epochs": 2, "batch_size": 64}}


def test_the_loss_is_that_of_each_fact_left_out_of_what_its_query_sees(small_graph):
    model = PathScorer.from_data(small_graph, **SHAPE)
    known = KnownAnswers.from_data(small_graph, splits=("train",))
    for kept in (0.0, 0.5):
        objective = PathObjective(model, small_graph, kept, torch.Generator().manual_seed(3))
        drawn = torch.Generator().manual_seed(3)
        for batch in QuerySampler(small_graph, batch_size=70, max_facts=2):
            loss, logs = objective(batch, 1)
            stays = torch.rand(batch.target.numel(), generator=drawn) < kept
            total = 0.0
            for fact, (row, target) in enumerate(zip(batch.row.tolist(), batch.target.tolist(), strict=True)):
                head, rel = batch.head[row : row + 1], batch.relation[row : row + 1]
                left_out = torch.tensor([-1 if stays[fact] else target])
                logits = model.evidence(head, rel, left_out)[0].detach()
                others = [answer for answer in known.rows(head, rel)[1].tolist() if answer != target]
                logits[others] = -torch.inf
                total -= float(logits.log_softmax(dim=0)[target])
            assert loss.item() == pytest.approx(batch.weight * total / batch.target.numel(), rel=1e-4)
            assert logs == {}


def test_its_state_is_which_facts_stay(small_graph):
    model = PathScorer.from_data(small_graph, **SHAPE)
    one, other = (PathObjective(model, small_graph, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    batch = next(iter(QuerySampler(small_graph, batch_size=200)))
    assert one(batch, 1)[0] != other(batch, 1)[0]
    other.load_state_dict(one.state_dict())
    assert one(batch, 1)[0] == other(batch, 1)[0]
    with pytest.raises(ConfigError, match=r"kept: expected a share in \[0, 1\), got 1"):
        PathObjective(model, small_graph, kept=1)


def families(number=30):
    """Who is the parent of a parent is a grandparent; of half of the families that is to be told."""
    parent, grand = [], []
    for first in range(0, 3 * number, 3):
        parent += [(first, 0, first + 1), (first + 1, 0, first + 2)]
        grand.append((first, 1, first + 2))
    facts = {"": parent + grand[: number // 2], "val_": grand[number // 2 :]}
    data = Data(num_nodes=3 * number, num_relations=2)
    for prefix, part in facts.items():
        head, relation, tail = torch.tensor(part).T
        data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = torch.stack([head, tail]), relation
    return data


def test_paths_are_learned_and_tell_of_entities_that_have_no_such_fact():
    data = families()
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    guide = PathScorer.from_data(data, dim=8, layers=2)
    state = torch.random.get_rng_state()
    found = fit_paths(guide, data, config=FitConfig(epochs=40, batch_size=16, lr=0.02, max_facts=1), progress=False)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found is guide
    assert not any(value.requires_grad for value in guide.parameters())
    assert evaluate(guide, data, split="val", known=known).mrr == pytest.approx(1.0)
    stranger = ComplEx(90, 2, rank=2)
    asked = fit_guides(stranger, data, [0.0, 100.0], guides=["frequency", guide])
    assert asked.guide is guide
    assert evaluate(asked, data, split="val", known=known).mrr > 0.9


def test_it_speaks_in_the_fused_teacher(small_graph, small_options, trained, tmp_path):
    trainer = DSoMTrainer(seed=3, progress=False, **PATHS, **small_options).fit(small_graph, epochs=1)
    fused = trainer.teachers["fused"]
    assert list(trainer.results) == ["teacher/structure", "teacher/image", "teacher/text", "teacher/paths", "student"]
    evidence = fused.guide.score_tails(HEAD, REL)
    assert evidence.std() > 0.1
    expected = trained.teachers["fused"].score_tails(HEAD, REL) + 0.5 * evidence
    torch.testing.assert_close(fused.score_tails(HEAD, REL), expected, atol=1e-4, rtol=1e-4)
    untrained = PathScorer.from_data(small_graph, 6, 2, generator=trainer._generator("paths"))
    assert not torch.equal(untrained.query, fused.guide.query)
    trainer.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run").teachers["fused"]
    torch.testing.assert_close(again.score_tails(HEAD, REL), fused.score_tails(HEAD, REL))


def test_it_is_a_teacher_of_structure_alone_and_one_on_its_own(small_graph, small_options, tmp_path):
    bare = copy.copy(small_graph)
    for name in ("x_image", "image_mask", "x_text", "text_mask"):
        del bare[name]
    teachers = DSoMTrainer(progress=False, **PATHS, **small_options).fit_teachers(bare)
    assert list(teachers) == ["structure", "fused"]
    alone = {"paths": teachers["fused"].guide, "structure": teachers["structure"]}
    trainer = DSoMTrainer(progress=False, teachers=alone, **small_options).fit(bare, epochs=1)
    assert repr(trainer) == "DSoMTrainer(seed=0, rank=8, trained, teachers=['paths', 'structure'])"
    assert {f"select/{name}" for name in alone} < set(trainer.history[-1])
    trainer.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run").teachers
    assert list(again) == ["paths", "structure"]
    assert torch.equal(again["paths"].score_tails(HEAD, REL), alone["paths"].score_tails(HEAD, REL))
    assert not any(value.requires_grad for value in again["paths"].parameters())


def test_a_guide_of_ones_own_cannot_be_saved(trained, tmp_path):
    class Own(FrequencyScorer):
        """Of a class that the library does not know."""

    trainer = copy.copy(trained)
    trainer.teachers = {"own": Own(60, 3)}
    with pytest.raises(CheckpointError, match=r"teachers\['own'\]: cannot save a Own"):
        trainer.save(tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n3": 0.1}, "path_fit.n3: expected 0, paths have no such term, got 0.1"),
        ({"relation_prediction": 2.0}, "path_fit.relation_prediction: expected 0, .* got 2.0"),
        ({"dtype": "bfloat16"}, "path_fit.dtype: expected 'float32', got 'bfloat16'"),
    ],
)
def test_what_paths_have_not_is_not_asked_of_them(small_graph, small_options, options, told):
    with pytest.raises(ConfigError, match=told):
        fit_paths(PathScorer.from_data(small_graph, **SHAPE), small_graph, config=replace(PATH_FIT, **options))
    with pytest.raises(ConfigError, match=told):
        DSoMTrainer(progress=False, **small_options, path_weight=1.0, path_fit=options).fit(small_graph)
