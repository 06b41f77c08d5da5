"""Whether what is quick is as good: test MRR of ours beside the plain way, same start, same number of steps.

    python benchmarks/speed/run.py --quality    # 12 epochs on MKG-Y, three seeds; into results.json and RESULTS.md

The plain way is a loop over facts, one row each, with autograd and PyTorch as it comes. Distillation is compared with
itself: soft labels computed anew in float32, from the cache in half precision, and from bfloat16 products. That its
gradient is that of the plain loss, fact by fact, is tested to 1e-6 in tests/trainer/test_objective.py.
"""

from __future__ import annotations

import statistics
import time

import contenders as c
import torch
import torch.nn.functional as F
from torch_geometric.data import Data

from torch_geometric_dsom.data import NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.datasets import MKGY
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import ComplEx, EmbeddingScorer, n3_penalty
from torch_geometric_dsom.sampler import QuerySampler, StaticSampler
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.fit import Objective, fit_scorer
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache
from torch_geometric_dsom.trainer.wiring import make_state

EPOCHS, SEEDS, TOLERANCE = 12, (0, 1, 2), 0.003
PLAIN, GROUPED, NARROW = "CE, a plain loop over facts", "CE, ours", "CE, ours, bfloat16 products"
ANEW, CACHED, COARSE = "distillation, T = 3", "the same from the cache", "the same from bfloat16 teachers, no cache"
PAIRS = ((GROUPED, PLAIN), (NARROW, PLAIN), (CACHED, ANEW), (COARSE, ANEW))


def quality(epochs: int = EPOCHS, seeds: tuple[int, ...] = SEEDS) -> dict[str, object]:
    """Test MRR of every way, a number a seed."""
    data, start = MKGY(text_encoder="none")[0], time.process_time()
    found: dict[str, list[float]] = {name: [] for name in (PLAIN, GROUPED, NARROW, ANEW, CACHED, COARSE)}
    teachers = []
    for seed in seeds:
        found[PLAIN].append(test_mrr(plain_loop(data, seed, epochs), data))
        for name, dtype in ((GROUPED, None), (NARROW, torch.bfloat16)):
            model = c.student(data, seed)
            model = grouped(model, sampler(data, seed), CrossEntropyObjective(model, c.N3, dtype), epochs)
            found[name].append(test_mrr(model, data))
            if name == GROUPED:
                teachers.append(model.freeze())
        print(seed, {name: values[-1] for name, values in found.items() if values}, flush=True)
    for seed in seeds:
        for name in (ANEW, CACHED, COARSE):
            found[name].append(test_mrr(distilled(data, teachers, seed, epochs, name), data))
        print(seed, {name: values[-1] for name, values in found.items()}, flush=True)
    return {"graph": "MKG-Y", "epochs": epochs, "mrr": found, "cpu_seconds": round(time.process_time() - start)}


def sampler(data: Data, seed: int) -> QuerySampler:
    return QuerySampler(data, batch_size=c.BATCH, max_facts=None, generator=torch.Generator().manual_seed(seed))


def test_mrr(model: ComplEx, data: Data) -> float:
    return round(evaluate(model.freeze(), data, split="test").mrr, 5)


def grouped(model: ComplEx, batches: QuerySampler, objective: Objective, epochs: int) -> ComplEx:
    """Our loop; all epochs, the last weights."""
    fit_scorer(model, batches, objective, FitConfig(epochs, optimizer="adagrad", lr=c.LR, n3=c.N3), progress=False)
    return model


def plain_loop(data: Data, seed: int, epochs: int) -> ComplEx:
    """A row a fact, autograd, as many steps an epoch as ours."""
    model, generator = c.student(data, seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=c.LR)
    facts = with_inverses(split_triples(data, "train"), int(data.num_relations))
    for _ in range(epochs):
        order = torch.randperm(len(facts), generator=generator)
        for some in order.chunk(len(sampler(data, seed))):
            h, r, t = facts[some].T
            head, relation, tail = model.entity[h], model.relation[r], model.entity[t]
            scores = c.complex_query(head, relation) @ model.entity.T
            loss = F.cross_entropy(scores, t) + c.N3 * n3_penalty(head, relation, tail)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def distilled(data: Data, teachers: list[EmbeddingScorer], seed: int, epochs: int, name: str) -> ComplEx:
    """A student of teachers that are students of cross-entropy with other seeds; all of them are asked."""
    count, model, batches = len(teachers), c.student(data, 100 + seed), sampler(data, seed)
    available = torch.ones(data.num_nodes, count, dtype=torch.bool)
    ensemble = Ensemble(teachers, available, dtype=torch.bfloat16 if name == COARSE else None)
    if name == CACHED:
        keys = ensemble.key(batches.head, batches.relation).unique()
        ensemble.cache = SoftLabelCache(keys, count, int(data.num_nodes), c.CACHE)
    index, state = NeighborIndex(data, "head"), make_state(data, [f"teacher {k}" for k in range(count)], model)
    signals = fact_signals(ensemble, QuerySampler(data, batch_size=c.BATCH, max_facts=None, shuffle=False), index)
    picks, loss = StaticSampler(count), NeighborDecoupledKDLoss()
    objective = DistillationObjective(model, ensemble, batches, signals, picks, state, index, loss, warmup=0, n3=c.N3)
    return grouped(model, batches, objective, epochs)


def quality_table(found: dict[str, object]) -> str:
    """Means over seeds, differences and whether they are within the tolerance."""
    mrr: dict[str, list[float]] = found["mrr"]  # type: ignore[assignment]
    mean = {name: statistics.mean(values) for name, values in mrr.items()}
    lines = [f"Test MRR after {found['epochs']} epochs on {found['graph']}, filtered, both sides; seeds beside."]
    lines += ["", "| | mean | each seed | beside | difference | |", "|---|---|---|---|---|---|"]
    beside = dict(PAIRS)
    for name, values in mrr.items():
        row = f"| {name} | {mean[name]:.4f} | {', '.join(f'{value:.4f}' for value in values)} |"
        if name in beside:
            gap = mean[name] - mean[beside[name]]
            row += f" {beside[name]} | {gap:+.4f} | {verdict(gap)} |"
        else:
            row += " | | |"
        lines.append(row)
    return "\n".join(lines)


def verdict(gap: float) -> str:
    """Whether nothing is lost: more is no fault."""
    if gap < -TOLERANCE:
        return f"worse by more than {TOLERANCE}"
    return f"within {TOLERANCE}" if gap <= TOLERANCE else "better"
