"""The ways to do the same work that are timed against each other: ours, plain PyTorch, PyKEEN, the bare products."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss, neighbor_decoupled_kd_terms
from torch_geometric_dsom.nn import ComplEx, EmbeddingScorer, complex_query, fast_matmul, n3_penalty
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler, StaticSampler, TeacherSampler, combine_logits
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.fit import Objective, fit_scorer
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.lesson import TrainingLesson
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache
from torch_geometric_dsom.trainer.wiring import make_state

RANK, BATCH, N3, LR = 200, 472, 0.05, 0.1
CACHE = 1 << 31
Run = Callable[[], object]


def student(data: Data, seed: int = 0) -> ComplEx:
    """A fresh ComplEx."""
    generator = torch.Generator().manual_seed(seed)
    return ComplEx(data.num_nodes, data.num_relations, rank=RANK, init_scale=1e-3, generator=generator)


def teachers(data: Data, count: int) -> list[EmbeddingScorer]:
    """Random ComplEx teachers of the student's rank, frozen; their speed does not depend on what they know."""
    found = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(100 + seed)
        model = ComplEx(data.num_nodes, data.num_relations, rank=RANK, init_scale=0.4, generator=generator)
        found.append(model.freeze())
    return found


class Slice:
    """Typical batches of an epoch, those whose number of facts is nearest to the mean; the same for everyone."""

    def __init__(self, data: Data, number: int) -> None:
        self.sampler = QuerySampler(data, batch_size=BATCH, max_facts=None, generator=torch.Generator().manual_seed(0))
        mean = self.sampler.num_facts / len(self.sampler)
        full = [batch for batch in self.sampler if batch.head.numel() == BATCH]
        self.batches = sorted(full, key=lambda batch: abs(batch.target.numel() - mean))[:number]
        self.facts = sum(batch.target.numel() for batch in self.batches)


def fit(model: torch.nn.Module, batches: list[QueryBatch], objective: Objective, dtype: str = "float32") -> Run:
    """Our training loop over some batches."""
    config = FitConfig(epochs=1, optimizer="adagrad", lr=LR, n3=N3, dtype=dtype)
    return lambda: fit_scorer(model, batches, objective, config, progress=False)  # type: ignore[arg-type]


def cross_entropy(data: Data, part: Slice, dtype: str = "float32") -> Run:
    """Ours, cross-entropy alone."""
    model = student(data)
    narrow = None if dtype == "float32" else getattr(torch, dtype)
    return fit(model, part.batches, CrossEntropyObjective(model, N3, narrow))


def distillation(
    data: Data, part: Slice, count: int, agent: bool = False, dtype: str | None = None, cache: int = 0
) -> Run:
    """Ours, with several teachers: all of them always, or those that a reinforced agent picks and learns to pick."""
    model = student(data)
    available = torch.ones(data.num_nodes, count, dtype=torch.bool)
    narrow = None if dtype is None else getattr(torch, dtype)
    ensemble = Ensemble(teachers(data, count), available, dtype=narrow)
    if cache > 0:
        keys = torch.cat([ensemble.key(batch.head, batch.relation) for batch in part.batches]).unique()
        ensemble.cache = SoftLabelCache(keys, count, int(data.num_nodes), cache)
    index = NeighborIndex(data, "head")
    state = make_state(data, [f"teacher {k}" for k in range(count)], model)
    lesson = None
    picks: TeacherSampler | StaticSampler = StaticSampler(count)
    if agent:
        picks = TeacherSampler(count, state.dim, gradient="exact")
        lesson = TrainingLesson(picks, "margin", False, KnownAnswers.from_data(data, ("train",)))
    signals = slice_signals(ensemble, part, index)
    objective = DistillationObjective(
        model, ensemble, part.sampler, signals, picks, state, index, NeighborDecoupledKDLoss(), lesson, warmup=0, n3=N3
    )
    return fit(model, part.batches, objective)


def slice_signals(ensemble: Ensemble, part: Slice, index: NeighborIndex):  # type: ignore[no-untyped-def]
    """Signals of the facts of a slice; those of all others are never looked up."""

    class Some(list):  # type: ignore[type-arg]
        fold = part.sampler.fold

    found = fact_signals(ensemble, Some(part.batches), index)  # type: ignore[arg-type]
    facts = torch.cat([batch.fact for batch in part.batches]).sort().values
    place = torch.zeros(part.sampler.num_facts, dtype=torch.long)
    place[facts] = torch.arange(len(facts))

    class Signals:
        def rows(self, index: Tensor):  # type: ignore[no-untyped-def]
            return found.rows(place[index])

    return Signals()


def products(data: Data, part: Slice) -> Run:
    """The three matrix products of each batch and nothing else, into memory that is there."""
    size, width = data.num_nodes, 2 * RANK
    query, table = torch.randn(BATCH, width), torch.randn(size, width)
    scores, to_query, to_table = torch.empty(BATCH, size), torch.empty(BATCH, width), torch.empty(size, width)

    def run() -> None:
        with fast_matmul():
            for _ in part.batches:
                torch.mm(query, table.T, out=scores)
                torch.mm(scores, table, out=to_query)
                torch.mm(scores.T, query, out=to_table)

    return run


class Bare:
    """A plain PyTorch loop over facts: autograd, no grouping, no buffers; the same precision switch as ours."""

    precision = True

    def __init__(self, data: Data, part: Slice) -> None:
        self.entity = torch.nn.Parameter(1e-3 * torch.randn(data.num_nodes, 2 * RANK))
        self.relation = torch.nn.Parameter(1e-3 * torch.randn(2 * data.num_relations, 2 * RANK))
        self.optimizer = torch.optim.Adagrad([self.entity, self.relation], lr=LR)
        self.facts = with_inverses(split_triples(data, "train"), int(data.num_relations))
        self.per_batch = part.facts // len(part.batches)
        self.number = len(part.batches)

    def __call__(self) -> None:
        with fast_matmul() if self.precision else nullcontext():
            for _ in range(self.number):
                h, r, t = self.facts[torch.randint(len(self.facts), (self.per_batch,))].T
                head, relation, tail = self.entity[h], self.relation[r], self.entity[t]
                scores = complex_query(head, relation) @ self.entity.T
                loss = F.cross_entropy(scores, t) + N3 * n3_penalty(head, relation, tail)
                loss = loss + self.extra(scores, h, r, t)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()

    def extra(self, scores: Tensor, h: Tensor, r: Tensor, t: Tensor) -> Tensor | float:
        return 0.0


def models(data: Data, part: Slice, count: int) -> Run:
    """What every way to distil has in memory: student, teachers, neighbours, optimiser."""
    kept = Bare(data, part), teachers(data, count), NeighborIndex(data, "head")
    for parameter in (kept[0].entity, kept[0].relation):
        parameter.grad = torch.zeros_like(parameter)
    kept[0].optimizer.step()
    return lambda: kept


class Straightforward(Bare):
    """Distillation as one would write it down: the loss on dense masks, a row a fact, PyTorch as it comes."""

    precision = False

    def __init__(self, data: Data, part: Slice, count: int, each: bool = False) -> None:
        super().__init__(data, part)
        self.each = each  # a loss for each teacher, which is another objective than that of their mean
        self.teachers = teachers(data, count)
        self.index = NeighborIndex(data, "head")
        self.size = int(data.num_nodes)

    def extra(self, scores: Tensor, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        with torch.no_grad():
            logits = torch.stack([teacher.score_tails(h, r) for teacher in self.teachers])
            mask = self.index.rows(h, r, t).dense(self.size)
            if not self.each:
                logits = combine_logits(logits, torch.ones(len(h), len(self.teachers), dtype=torch.bool)).unsqueeze(0)
        terms = [neighbor_decoupled_kd_terms(scores, soft, mask) for soft in logits]
        return torch.stack([(term.neighbors + term.rest).mean() for term in terms]).mean()


def pykeen_training(data: Data, part: Slice) -> tuple[Run, int]:
    """PyKEEN's LCWA loop with ComplEx, cross-entropy and Adagrad; with the number of queries that one run sees."""
    from pykeen.losses import CrossEntropyLoss
    from pykeen.models import ComplEx as PyKEENComplEx
    from pykeen.training import LCWATrainingLoop
    from pykeen.triples import CoreTriplesFactory

    triples = split_triples(data, "train")
    query = triples[:, 0] * int(data.num_relations) + triples[:, 1]
    some = query.unique()[: BATCH * len(part.batches)]
    factory = CoreTriplesFactory.create(
        triples[torch.isin(query, some)], num_entities=data.num_nodes, num_relations=data.num_relations
    )
    model = PyKEENComplEx(triples_factory=factory, embedding_dim=RANK, loss=CrossEntropyLoss(), random_seed=0)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=LR)

    def run() -> None:
        loop = LCWATrainingLoop(model=model, triples_factory=factory, optimizer=optimizer)
        with fast_matmul():
            loop.train(factory, num_epochs=1, batch_size=BATCH, use_tqdm=False, use_tqdm_batch=False)

    return run, some.numel()


def test_slice(data: Data, number: int) -> Data:
    """The same graph with fewer test facts."""
    part = copy.copy(data)
    part.test_edge_index, part.test_edge_type = data.test_edge_index[:, :number], data.test_edge_type[:number]
    return part


def evaluation(data: Data) -> Run:
    """Ours: filtered ranks of heads and tails."""
    model = student(data).freeze()

    def run() -> object:
        with fast_matmul():
            return evaluate(model, data, known=KnownAnswers.from_data(data))

    return run


def pykeen_evaluation(data: Data, batch_size: int) -> Run:
    """PyKEEN's filtered evaluation of the same model and facts."""
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.models import ComplEx as PyKEENComplEx

    from torch_geometric_dsom.adapters import to_triples_factory

    factory = to_triples_factory(data)
    model = PyKEENComplEx(triples_factory=factory, embedding_dim=RANK, random_seed=0)
    known = [split_triples(data, split) for split in ("train", "val")]
    facts = split_triples(data, "test")

    def run() -> object:
        with fast_matmul():
            return RankBasedEvaluator().evaluate(
                model, facts, additional_filter_triples=known, batch_size=batch_size, use_tqdm=False
            )

    return run


def pyg_evaluation(data: Data, number: int) -> Run:
    """PyG's own test of ComplEx: tails only, unfiltered."""
    from torch_geometric.nn import ComplEx as PyGComplEx

    model = PyGComplEx(data.num_nodes, data.num_relations, hidden_channels=RANK).eval()
    head, relation, tail = split_triples(data, "test")[:number].T

    def run() -> object:
        with fast_matmul(), torch.no_grad():
            return model.test(head, relation, tail, batch_size=20_000, log=False)

    return run
