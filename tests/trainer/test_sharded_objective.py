"""Dealt out entities change nothing: neither loss nor gradients, signals, rewards or the agent."""

import copy

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import DISTLoss
from torch_geometric_dsom.nn import ComplEx, ShardedScorer
from torch_geometric_dsom.sampler import QueryBatch
from torch_geometric_dsom.trainer import CrossEntropyObjective
from torch_geometric_dsom.trainer.sharded_ensemble import ShardedEnsemble
from torch_geometric_dsom.trainer.sharded_objective import ShardedCrossEntropyObjective, ShardedDistillationObjective
from torch_geometric_dsom.trainer.team import Team

VARIANTS = {
    "default": {},
    "form B, temperature, every answer a group of its own": {"omega": 0.5, "temperature": 2.0, "neighbors": "none"},
    "training facts": {"reward_facts": "train", "reward": "rank", "gradient": "reinforce", "selection_per": "query"},
    "query entities may be answers": {"mask_self": False},
    "margin, parts": {"reward": "margin", "student_fit": {"workspace_bytes": 1 << 15}},
}


@pytest.fixture(scope="module")
def taught(small_graph, small_options):
    trainer = DSoMTrainer(seed=3, progress=False, cache="none", **small_options)
    trainer.fit_teachers(small_graph)
    return trainer


def steps(trainer, data, options, team, number=3):
    """Losses, logs and gradients of a few batches, and all that was computed before."""
    own = DSoMTrainer(seed=3, config=trainer.config, progress=False, **options)
    own.team, own.teachers = team, copy.deepcopy(trainer.teachers)
    torch.manual_seed(0)
    whole = ComplEx(60, 3, rank=8, init_scale=0.5, dropout=0.2)
    own.student = whole if team.entities.size == 1 else ShardedScorer.cut_from(whole, team.entities)
    objective = own._objective(data, own.student, own.config.student_fit)
    found = []
    for epoch, batch in enumerate(objective.sampler, start=1):
        loss, logs = objective(batch, epoch)
        loss.backward()
        found.append({"loss": loss.item(), **{name: float(value) for name, value in logs.items()}})
        if epoch == number:
            break
    part = own.student.part if isinstance(own.student, ShardedScorer) else own.student
    return objective, found, part.entity.grad, part.relation.grad


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_as_in_one_process(together, small_graph, taught, variant):
    options = VARIANTS[variant]
    plain, expected, entity, relation = steps(taught, small_graph, options, Team())

    def run(world):
        objective, found, *gradients = steps(taught, small_graph, options, Team(world, "entity"))
        assert isinstance(objective, ShardedDistillationObjective)
        assert isinstance(objective.ensemble, ShardedEnsemble)
        assert torch.equal(objective.facts.favourite, plain.facts.favourite)
        assert torch.allclose(objective.facts.gold, plain.facts.gold, atol=1e-4)
        for own, other in zip(objective.facts.teachers, plain.facts.teachers, strict=True):
            assert torch.allclose(own, other, atol=1e-4)
        for own, other in zip(found, expected, strict=True):
            assert own == pytest.approx(other, rel=1e-4, abs=1e-5)
        assert not objective.ensemble._norms[: len(objective.ensemble._keys)].isnan().all()
        return gradients

    parts = together(3, run)
    assert torch.allclose(torch.cat([own for own, _ in parts]), entity, rtol=1e-3, atol=1e-6)
    for _, own in parts:
        assert torch.allclose(own, relation, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shares_of_batches_add_up_to_everything(together, small_graph, taught, variant):
    options = VARIANTS[variant]
    _, expected, entity, relation = steps(taught, small_graph, options, Team())

    def run(world):
        objective, found, *gradients = steps(taught, small_graph, options, Team(world))
        assert objective.world is world
        return [found, *gradients]

    shares = together(3, run)
    for step, whole in enumerate(expected):
        assert sum(found[step]["loss"] for found, *_ in shares) == pytest.approx(whole["loss"], rel=1e-4)
        for name in ("baseline", "entropy"):
            assert shares[0][0][step].get(name) == pytest.approx(whole.get(name), rel=1e-4)
    assert torch.allclose(sum(own for _, own, _ in shares), entity, rtol=1e-3, atol=1e-6)
    assert torch.allclose(sum(own for _, _, own in shares), relation, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("reward", [{}, {"reward_facts": "train", "reward": "influence"}])
def test_a_process_without_a_query_takes_part(together, small_graph, taught, reward):
    options = {"student_fit": {"batch_size": 1, "relation_prediction": 0.5}, "unlabelled": 1.0, **reward}
    _, expected, entity, relation = steps(taught, small_graph, options, Team())
    shares = together(3, lambda world: steps(taught, small_graph, options, Team(world))[1:])
    for step, whole in enumerate(expected):
        assert sum(found[step]["loss"] for found, *_ in shares) == pytest.approx(whole["loss"], rel=1e-4)
    assert torch.allclose(sum(own for _, own, _ in shares), entity, rtol=1e-3, atol=1e-6)
    assert torch.allclose(sum(own for _, _, own in shares), relation, rtol=1e-3, atol=1e-6)


def test_candidates_of_each_process_stand_for_its_entities(together, small_graph, taught):
    """With so many that all are drawn, the loss is exact; with few it is close, and the sums are finite."""
    options = {"candidates": "topk", "candidate_top_k": 3, "num_candidates": 600, "selection": "all"}
    _, exact, entity, _ = steps(taught, small_graph, {"selection": "all"}, Team())

    def run(world):
        return steps(taught, small_graph, options, Team(world, "entity"))[1:3]

    parts = together(2, run)
    for own, other in zip(parts[0][0], exact, strict=True):
        assert own == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert torch.allclose(torch.cat([gradient for _, gradient in parts]), entity, rtol=1e-3, atol=1e-6)
    options["num_candidates"] = 8
    few = together(2, run)
    assert few[0][0] == few[1][0]
    assert few[0][0][0]["ce"] == pytest.approx(exact[0]["ce"], rel=0.2)


def test_signals_from_all_candidates_are_the_signals(together, small_graph, taught):
    """Where every entity is a candidate the estimate is exact, in one process and in two."""
    plain = {"selection": "confidence", "candidates": "sampled", "num_candidates": 600}
    exact = steps(taught, small_graph, plain, Team())[1]
    for found in (
        steps(taught, small_graph, {**plain, "signals": "candidates"}, Team())[1],
        together(
            2, lambda world: steps(taught, small_graph, {**plain, "signals": "candidates"}, Team(world, "entity"))
        )[0][1],
    ):
        for own, other in zip(found, exact, strict=True):
            assert own == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_cross_entropy_alone(together, small_graph):
    batch = QueryBatch(*(torch.tensor(x) for x in ([0, 7, 59], [0, 1, 5], [0, 0, 1, 2], [3, 59, 0, 20], [0, 1, 2, 3])))
    whole = ComplEx(60, 3, rank=4, init_scale=0.5)
    expected = CrossEntropyObjective(whole, n3=0.1, relation_prediction=0.5)(batch, 1)[0]
    expected.backward()

    def run(world):
        model = ShardedScorer.cut_from(whole, world)
        loss = ShardedCrossEntropyObjective(model, n3=0.1, relation_prediction=0.5)(batch, 1)[0]
        loss.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        return model.part.entity.grad

    assert torch.allclose(torch.cat(together(2, run)), whole.entity.grad, atol=1e-6)


def test_what_cannot_be_dealt_out_is_refused(small_graph, taught):
    with pytest.raises(ConfigError, match="model: expected a sharded scorer, got ComplEx"):
        ShardedCrossEntropyObjective(ComplEx(3, 1, rank=1))
    with pytest.raises(ConfigError, match="teachers: expected sharded scorers, got EmbeddingScorer"):
        ShardedEnsemble(list(taught.teachers.values()), torch.ones(60, 4).bool())
    objective = steps(taught, small_graph, {}, Team(), 1)[0]
    parts = objective.ensemble, objective.sampler, None, objective.agent, objective.state, objective.index
    model = ShardedScorer.cut_from(ComplEx(60, 3, rank=8), objective.world)
    with pytest.raises(ConfigError, match="loss: expected NeighborDecoupledKDLoss on plain logits, got DISTLoss"):
        ShardedDistillationObjective(model, *parts, DISTLoss())
