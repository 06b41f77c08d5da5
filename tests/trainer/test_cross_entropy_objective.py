import math
from types import SimpleNamespace

import pytest
import torch
from objectives import generator

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ComplEx, TransE
from torch_geometric_dsom.sampler import CandidateSampler, QuerySampler
from torch_geometric_dsom.trainer import CrossEntropyObjective, FitConfig


@pytest.fixture
def student():
    return ComplEx(60, 3, rank=4, init_scale=0.7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def batch(small_graph):
    return next(iter(QuerySampler(small_graph, batch_size=32, generator=torch.Generator().manual_seed(1))))


def complex_score(student, head, relation, tail):
    """One score, by complex numbers of Python."""
    h, r, t = (
        [complex(re, im) for re, im in zip(vector[:4], vector[4:], strict=True)]
        for vector in (
            student.entity[head].tolist(),
            student.relation[relation].tolist(),
            student.entity[tail].tolist(),
        )
    )
    return sum((a * b * c.conjugate()).real for a, b, c in zip(h, r, t, strict=True))


def test_the_value_is_that_of_a_loop_over_facts(student, batch):
    objective = CrossEntropyObjective(student, n3=0.1, relation_prediction=0.5)
    expected = 0.0
    for row, target in zip(batch.row.tolist(), batch.target.tolist(), strict=True):
        head, relation = int(batch.head[row]), int(batch.relation[row])
        answers = [math.exp(complex_score(student, head, relation, entity)) for entity in range(60)]
        kinds = [math.exp(complex_score(student, head, kind, target)) for kind in range(6)]
        size = [
            (x.chunk(2)[0] ** 2 + x.chunk(2)[1] ** 2).pow(1.5).sum().item()
            for x in (student.entity[head], student.relation[relation], student.entity[target])
        ]
        expected -= math.log(answers[target] / sum(answers)) + 0.5 * math.log(kinds[relation] / sum(kinds))
        expected += 0.1 * sum(size)
    loss, logs = objective(batch, 1)
    assert loss.item() == pytest.approx(batch.weight * expected / len(batch.row), rel=1e-4)
    assert logs == {}


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_gradient_is_autograds_whatever_fits_at_once(student, batch, rows):
    objective = CrossEntropyObjective(student, n3=0.1, workspace_bytes=rows * 2 * 60 * 4)
    loss, _ = objective(batch, 1)
    got = torch.autograd.grad(loss, [student.entity, student.relation])
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    plain = torch.nn.functional.cross_entropy(student.score_tails(head, relation), batch.target)
    plain = batch.weight * (plain + 0.1 * student.penalty(head, relation, batch.target))
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for value, expected in zip(got, torch.autograd.grad(plain, [student.entity, student.relation]), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-4)


def test_what_it_draws_comes_back(student, batch):
    def drawing():
        sampler = CandidateSampler(60, 10, generator=torch.Generator().manual_seed(2))
        return CrossEntropyObjective(student, candidates=sampler)

    objective, again = drawing(), drawing()
    objective(batch, 1)
    again.load_state_dict(objective.state_dict())
    assert again(batch, 1)[0].item() == objective(batch, 1)[0].item()
    assert drawing()(batch, 1)[0].item() != objective(batch, 1)[0].item()
    assert CrossEntropyObjective(student).state_dict() == {}


def test_weights_come_from_a_configuration_and_foreign_models_have_no_penalty(student):
    objective = CrossEntropyObjective.from_config(
        student, FitConfig(n3=0.3, relation_prediction=0.2, dtype="bfloat16", workspace_bytes=77)
    )
    assert (objective.n3, objective.relation_prediction, objective.workspace_bytes) == (0.3, 0.2, 77)
    assert objective.dtype == torch.bfloat16
    for name in ("n3", "relation_prediction"):
        with pytest.raises(ConfigError, match=f"{name}: expected 0 for a Linear, which has no such term, got 0.1"):
            CrossEntropyObjective(torch.nn.Linear(1, 1), **{name: 0.1})


@pytest.mark.parametrize("name", ["complex", "transe", "table"])
def test_cross_entropy_over_candidates(small_graph, name):
    batch = next(iter(QuerySampler(small_graph, batch_size=20)))
    model = {"complex": ComplEx, "transe": TransE, "table": ComplEx}[name](60, 3, 4, generator=generator())
    scored = SimpleNamespace(score_tails=model.score_tails) if name == "table" else model
    some = CandidateSampler(60, 7, generator()).sample(torch.cat([batch.head, batch.target]))
    objective = CrossEntropyObjective(scored, candidates=CandidateSampler(60, 7, generator()))
    loss, _ = objective(batch, 1)
    assert 7 < len(some.entity) < 60
    logits = model.score_tails(batch.head[batch.row], batch.relation[batch.row], some.entity) + some.log_weight
    expected = batch.weight * torch.nn.functional.cross_entropy(logits, some.place(batch.target))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    got, plain = (torch.autograd.grad(value, model.entity)[0] for value in (loss, expected))
    assert torch.allclose(got, plain, atol=1e-6)


@pytest.mark.parametrize("name", ["complex", "transe", "table"])
def test_cross_entropy_in_parts(small_graph, name):
    batch = next(iter(QuerySampler(small_graph, batch_size=50)))
    found = []
    for budget in (1 << 27, 1):
        model = {"complex": ComplEx, "transe": TransE, "table": ComplEx}[name](60, 3, 4, generator=generator())
        scored = SimpleNamespace(score_tails=model.score_tails) if name == "table" else model
        loss, _ = CrossEntropyObjective(scored, 0.0 if name == "table" else 0.3, workspace_bytes=budget)(batch, 1)
        found.append((loss, *torch.autograd.grad(loss, (model.entity, model.relation))))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


def test_cross_entropy_objective_is_cross_entropy_and_penalty(small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=0.5)
    batch = next(iter(QuerySampler(small_graph, batch_size=10_000)))
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    expected = torch.nn.functional.cross_entropy(model.score_tails(head, relation), batch.target)
    expected = expected + 0.3 * model.penalty(head, relation, batch.target)
    assert CrossEntropyObjective(model, 0.3)(batch, 1)[0].item() == pytest.approx(expected.item(), rel=1e-5)
