"""On a GPU, where there is one: the same numbers as on CPU, and no step that waits for the GPU."""

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import ComplEx, PathScorer
from torch_geometric_dsom.sampler import QuerySampler, SelectionState, StaticSampler
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective, PathObjective, fit_guides
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def build(graph, device, dtype=None, cached=False, **kwargs):
    g = torch.Generator().manual_seed(0)
    student = ComplEx(60, 3, rank=4, init_scale=0.7, generator=g).to(device)
    teachers = [ComplEx(60, 3, rank=4, init_scale=0.7, generator=g).freeze().to(device) for _ in range(3)]
    available = (torch.rand(60, 3, generator=g) < 0.8).to(device)
    sampler = QuerySampler(graph, batch_size=32)
    reflexive = torch.tensor([False, True, False] * 2)
    ensemble = Ensemble(teachers, available, dtype=dtype, reflexive=reflexive.to(device))
    if cached:
        keys = ensemble.key(sampler.facts[:, 0], sampler.facts[:, 1]).unique()
        ensemble.cache = SoftLabelCache(keys, 3, 60, 1 << 20, device=device)
    index = NeighborIndex(graph)
    state = SelectionState("abc", torch.empty(60, 0), torch.ones(60), 3, 8).to(device)
    facts = fact_signals(ensemble, QuerySampler(graph, batch_size=13), index)
    agent, loss = StaticSampler(3).to(device), NeighborDecoupledKDLoss()
    objective = DistillationObjective(
        student, ensemble, sampler, facts, agent, state, index, loss, n3=0.1, dtype=dtype, **kwargs
    )
    return objective, next(iter(QuerySampler(graph, batch_size=32)))


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 1e-4), (torch.bfloat16, 0.05)])
def test_loss_and_gradient_are_those_of_the_cpu(small_graph, cached, dtype, tolerance):
    found = []
    for device in ("cpu", "cuda"):
        objective, batch = build(small_graph, device, dtype if device == "cuda" else None, cached)
        loss, _ = objective(batch, epoch=9)
        loss.backward()
        found.append((loss.item(), objective.model.entity.grad.cpu()))
    assert found[0][0] == pytest.approx(found[1][0], rel=tolerance)
    assert torch.allclose(found[0][1], found[1][1], atol=tolerance)


@pytest.mark.parametrize("kind", ["cross-entropy", "distillation"])
def test_a_step_does_not_wait_for_the_gpu(small_graph, kind):
    objective, batch = build(small_graph, "cuda")
    if kind == "cross-entropy":
        objective = CrossEntropyObjective(objective.model, n3=0.1)
    objective(batch, epoch=9)[0].backward()  # libraries are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        objective(batch, epoch=9)[0].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"candidates": "topk"},
        {"cache": "mmap"},
        {"crossfit": 2},
        {"joint_expert": True, "modality_experts": False, "rule_weight": 1.0, "ridge_weight": 1.0},
        {"teacher_dtype": "auto", "neighbors": "topk", "reward": "lookahead"},
        {"path_weight": 1.0, "path_dim": 8, "path_fit": {"epochs": 2}, "frequency_weight": 1.0},
    ],
)
def test_the_trainer_runs(small_graph, small_options, options):
    trainer = DSoMTrainer(seed=0, progress=False, device="cuda", **small_options, **options).fit(small_graph)
    assert trainer.evaluate(small_graph).mrr > 0
    assert torch.isfinite(torch.tensor(trainer.history[-1]["loss"]))


def test_guides_are_where_the_scorer_is(small_graph):
    student = ComplEx(60, 3, rank=4, init_scale=0.7, generator=torch.Generator().manual_seed(0))
    for options in ({"weights": [1.0]}, {"shrinkage": 1.0}):
        here = evaluate(fit_guides(student.to("cpu"), small_graph, **options), small_graph)
        there = evaluate(fit_guides(student.to("cuda"), small_graph, **options), small_graph)
        assert there.mrr == pytest.approx(here.mrr, rel=1e-3)


def test_paths_tell_the_same(small_graph):
    batch = next(iter(QuerySampler(small_graph, batch_size=64)))
    found = []
    for device in ("cpu", "cuda"):
        guide = PathScorer.from_data(small_graph, dim=8).to(device)
        loss, _ = PathObjective(guide, small_graph)(batch, 1)
        loss.backward()
        scores = guide.score_tails(batch.head.to(device), batch.relation.to(device)).cpu()
        found.append((loss.item(), guide.query.grad.cpu(), scores))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    for here, there in zip(*(parts[1:] for parts in found), strict=True):
        torch.testing.assert_close(there, here, atol=1e-4, rtol=1e-3)
