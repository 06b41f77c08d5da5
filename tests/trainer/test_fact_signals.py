import pytest
import torch
from objectives import build, teacher_logits
from torch_geometric.data import Data

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.sampler import QuerySampler, TeacherSignals, random_folds, teacher_signals
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import FactSignals, fact_signals

N, R, K = 7, 2, 3


def frozen(seed):
    return ComplEx(N, R, rank=4, init_scale=1.0, generator=torch.Generator().manual_seed(seed)).freeze()


@pytest.mark.parametrize("crossfit", [False, True])
def test_signals_of_facts_stand_in_the_order_of_their_numbers(crossfit):
    teachers, *parts = [[frozen(10 * part + k) for k in range(K)] for part in range(3 if crossfit else 1)]
    asked = Ensemble(teachers, torch.ones(N, K, dtype=torch.bool), parts)
    generator = torch.Generator().manual_seed(3)
    triples = torch.stack([torch.randint(size, (20,), generator=generator) for size in (N, R, N)], dim=1)
    folds = random_folds(20, 2, generator) if crossfit else None
    sampler = QuerySampler(triples, R, batch_size=4, folds=folds)
    data = Data(edge_index=triples[:, [0, 2]].T, edge_type=triples[:, 1], num_nodes=N)
    data.num_relations = R
    found = fact_signals(asked, sampler, NeighborIndex(data), 1.0, crossfit)
    for number, (head, relation, tail) in enumerate(sampler.facts.tolist()):
        teachers = asked.fold_teachers[int(sampler.fold[number])] if crossfit else asked.teachers
        for k, teacher in enumerate(teachers):
            log_prob = teacher.score_tails(torch.tensor([head]), torch.tensor([relation])).log_softmax(dim=-1)[0]
            assert found.gold[number, k] == pytest.approx(float(log_prob[tail]), rel=1e-4, abs=1e-5)


def test_a_run_of_facts_is_no_copy():
    values = [torch.rand(5, 2) for _ in range(6)]
    facts = FactSignals(TeacherSignals(*values[:5]), torch.arange(5), values[5], torch.arange(10).view(5, 2))
    part, rows = facts.part(slice(1, 4)), facts.rows(torch.tensor([1, 2, 3]))
    assert all(torch.equal(a, b) for a, b in zip(part.teachers, rows.teachers, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(part[1:], rows[1:], strict=True))
    assert part.gold.data_ptr() == facts.gold[1:].data_ptr()


def test_fact_signals_are_in_the_order_of_the_facts(small_graph):
    objective, *_ = build(small_graph)
    ensemble, found = objective.ensemble, objective.facts
    head, relation, tail = objective.sampler.facts.unbind(-1)
    logits = teacher_logits(ensemble, head, relation).transpose(0, 1)
    softened = (logits / 2.0).softmax(-1)
    favourite = (softened * ensemble.available[head].unsqueeze(-1)).sum(1).argmax(-1)
    assert torch.equal(found.favourite, favourite)
    each = torch.arange(len(head))
    expected = teacher_signals(softened, each, favourite, objective.index.rows(head, relation, favourite))
    every = QuerySampler(small_graph, batch_size=60)
    again = fact_signals(ensemble, every, objective.index, 2.0, workspace_bytes=5 * ensemble.slabs * 60 * 4)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(again.teachers, found.teachers, strict=True))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found.teachers, expected, strict=True))
    assert torch.allclose(found.gold, (logits / 2.0).log_softmax(-1)[each, :, tail], atol=1e-5)
