import pytest
import torch
from objectives import build, generator, teacher_logits

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import (
    ListwiseKDLoss,
    NeighborDecoupledKDLoss,
    neighbor_decoupled_kd_loss,
)
from torch_geometric_dsom.nn import TransE
from torch_geometric_dsom.sampler import (
    CandidateSampler,
    QuerySampler,
    SelectionState,
    StaticSampler,
    combine_logits,
    margin_reward,
)
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective
from torch_geometric_dsom.trainer import ensemble as ensemble_module
from torch_geometric_dsom.trainer.fact_signals import fact_signals


@pytest.mark.parametrize("kind", ["head", "answers", "target", "none"])
@pytest.mark.parametrize("form", [{}, {"omega": 0.4}])
def test_gradient_equals_the_plain_losses_fact_by_fact(small_graph, kind, form):
    loss = NeighborDecoupledKDLoss(0.7, 1.3, 2.0, **form)
    objective, agent, batch = build(small_graph, kind, gamma=0.5, n3=0.1, loss=loss)
    student, ensemble = objective.model, objective.ensemble
    loss, logs = objective(batch, epoch=2)
    got = torch.autograd.grad(loss, student.entity)[0]

    head, relation = batch.head[batch.row], batch.relation[batch.row]
    logits, theirs = student.score_tails(head, relation), teacher_logits(ensemble, head, relation)
    action = agent.choice.action
    assert not (action & ~ensemble.available[head]).any()
    soft = combine_logits(theirs, action, 2.0)
    mask = objective.index.rows(head, relation, batch.target).dense(60)
    weight = action.any(-1).float()
    kd = neighbor_decoupled_kd_loss(logits, soft, mask, 0.7, 1.3, 2.0, weight=weight, **form)
    ce = torch.nn.functional.cross_entropy(logits, batch.target) + 0.1 * student.penalty(head, relation, batch.target)
    expected = torch.autograd.grad(batch.weight * (ce + 0.25 * kd), student.entity)[0]  # half way through the warm-up
    assert torch.allclose(got, expected, atol=1e-6)
    assert logs["gamma"] == 0.25

    log_prob = (theirs / 2.0).log_softmax(-1)[:, torch.arange(len(head)), batch.target].T
    own = (logits / 2.0).log_softmax(-1).gather(1, batch.target[:, None])[:, 0]
    assert torch.allclose(agent.reward, margin_reward(log_prob, own, action), atol=1e-5)


@pytest.mark.parametrize("kind", ["head", "answers", "target", "topk"])
@pytest.mark.parametrize("rows", [1, 5, 32])
@pytest.mark.parametrize("loss", [NeighborDecoupledKDLoss(0.7, 1.3), ListwiseKDLoss(temperature=2.0, k=4)])
def test_a_batch_in_parts_costs_what_it_costs_at_once(small_graph, kind, rows, loss, monkeypatch):
    """Every choice, every signal, the value and the gradient; unlabelled queries with them."""
    found = []
    for size in (32, rows):
        monkeypatch.setattr(ensemble_module, "CACHED_BYTES", (1 << 20) if not found else 3 * 6 * 60 * 4)
        objective, _, batch = build(small_graph, kind, unlabelled=True, gamma=0.5, n3=0.1, loss=loss)
        objective.agent = StaticSampler(3)  # what is drawn would depend on the order of drawing
        objective.unlabelled_agent = objective.agent
        objective.lesson = None
        objective.workspace_bytes = size * objective.slabs * 60 * 4
        value, logs = objective(batch, epoch=4)
        found.append((value, torch.autograd.grad(value, (objective.model.entity, objective.model.relation)), logs))
        largest = max(len(part.head) for _, part in objective.parts(objective.scores(batch), batch))
        assert size // 2 < largest <= size
    (whole, at_once, logs), (parts, bit_by_bit, others) = found
    assert parts.item() == pytest.approx(whole.item(), rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(at_once, bit_by_bit, strict=True))
    assert {k: float(v) for k, v in logs.items()} == pytest.approx({k: float(v) for k, v in others.items()}, rel=1e-4)


@pytest.mark.parametrize("kind", ["head", "answers", "target", "none", "topk"])
@pytest.mark.parametrize("top_k", [0, 3])
def test_candidates_that_are_all_entities_change_nothing(small_graph, kind, top_k):
    found = []
    for candidates in (None, CandidateSampler(60, 60)):
        objective, _, batch = build(small_graph, kind, unlabelled=True, gamma=0.5, n3=0.1)
        objective.agent = objective.unlabelled_agent = StaticSampler(3)
        objective.candidates, objective.top_k = candidates, top_k
        loss, _ = objective(batch, epoch=4)
        found.append((loss, *torch.autograd.grad(loss, (objective.model.entity, objective.model.relation))))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ["head", "topk"])
@pytest.mark.parametrize("loss", [NeighborDecoupledKDLoss(0.7, 1.3, 2.0), ListwiseKDLoss(temperature=2.0, k=4)])
@pytest.mark.parametrize("name", ["complex", "transe"])
def test_some_candidates_give_the_plain_loss_over_them(small_graph, kind, loss, name):
    """Logits of both sides plus temperature times logarithmic weight; cross-entropy has temperature one."""
    objective, agent, batch = build(small_graph, kind, gamma=0.5, loss=loss)
    batch = next(batch.parts(2))[1]  # few enough to leave some entities out
    if name == "transe":
        objective.model = TransE(60, 3, 4, generator=generator())
    objective.candidates = CandidateSampler(60, 9)
    drawn = []
    sample = objective.candidates.sample
    objective.candidates.sample = lambda required: drawn.append(sample(required)) or drawn[-1]
    student, ensemble = objective.model, objective.ensemble
    got = torch.autograd.grad(objective(batch, epoch=4)[0], student.entity)[0]
    some = drawn[0]
    assert len(some.entity) < 60
    assert some.log_weight.max() > 0.1

    head, relation = batch.head[batch.row], batch.relation[batch.row]
    weight = some.log_weight
    logits = student.score_tails(head, relation)[:, some.entity]
    theirs = teacher_logits(ensemble, head, relation)[..., some.entity]
    action = agent.choice.action
    soft = combine_logits(theirs + 2.0 * weight, action, 2.0)
    if kind == "head":
        mask = objective.index.rows(head, relation, batch.target).dense(60)[:, some.entity]
    else:
        prob = (theirs / 2.0).exp() / (weight.exp() * (theirs / 2.0).exp()).sum(-1, keepdim=True)
        mean = torch.einsum("kbc,bk->bc", prob, ensemble.available[head].float())
        mask = torch.zeros_like(mean, dtype=torch.bool).scatter_(1, mean.topk(10).indices, True)
    kd = loss(logits + 2.0 * weight, soft, mask, action.any(-1).float())
    ce = torch.nn.functional.cross_entropy(logits + weight, some.place(batch.target))
    expected = torch.autograd.grad(batch.weight * (ce + 0.5 * kd), student.entity)[0]
    assert torch.allclose(got, expected, atol=1e-5)


def test_what_the_teachers_find_likely_is_among_the_candidates(small_graph):
    objective, _, batch = build(small_graph, unlabelled=True)
    facts = QuerySampler(small_graph, batch_size=13)
    objective.facts = fact_signals(objective.ensemble, facts, objective.index, 2.0, best=5)
    assert objective.facts.best.shape == (480, 5)
    objective.candidates, objective.top_k = CandidateSampler(60, 1), 5
    needed = []
    sample = objective.candidates.sample
    objective.candidates.sample = lambda required: needed.append(set(required.tolist())) or sample(required)
    drawn = []
    draw = objective.unlabelled.sample
    objective.unlabelled.sample = lambda number: drawn.append(draw(number)) or drawn[-1]
    objective(batch, epoch=4)
    for queries, found in zip(((batch.head, batch.relation), drawn[0]), needed, strict=True):
        prob = objective.ensemble.soften(*queries, 2.0)
        mean = (prob * objective.ensemble.available[queries[0]].unsqueeze(-1)).sum(1)
        assert set(mean.topk(5).indices.flatten().tolist()) <= found
        assert set(queries[0].tolist()) <= found  # query entities, the hardest of wrong answers
    assert set(batch.target.tolist()) <= needed[0]


def test_cross_fitted_teachers_label_and_reward_the_facts_they_did_not_see(small_graph):
    objective, agent, batch = build(small_graph, folds=3, gamma=1.0)
    got = torch.autograd.grad(objective(batch, epoch=4)[0], objective.model.entity)[0]
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    fold = objective.sampler.fold[batch.fact]
    assert torch.equal(objective.sampler.fold[:240], objective.sampler.fold[240:])  # both directions alike
    theirs = torch.empty(3, len(head), 60)
    for number, teachers in enumerate(objective.ensemble.fold_teachers):
        rows = fold == number
        theirs[:, rows] = teacher_logits(None, head[rows], relation[rows], teachers)
    logits, action = objective.model.score_tails(head, relation), agent.choice.action
    soft = combine_logits(theirs, action, 2.0)
    mask = objective.index.rows(head, relation, batch.target).dense(60)
    kd = neighbor_decoupled_kd_loss(logits, soft, mask, 0.7, 1.3, 2.0, weight=action.any(-1).float())
    ce = torch.nn.functional.cross_entropy(logits, batch.target)
    expected = torch.autograd.grad(batch.weight * (ce + kd), objective.model.entity)[0]
    assert torch.allclose(got, expected, atol=1e-6)
    log_prob = (theirs / 2.0).log_softmax(-1)[:, torch.arange(len(head)), batch.target].T
    own = (logits / 2.0).log_softmax(-1).gather(1, batch.target[:, None])[:, 0]
    assert torch.allclose(agent.reward, margin_reward(log_prob, own, action), atol=1e-5)


def test_unlabelled_queries_add_their_own_distillation_and_no_reward(small_graph):
    objective, agent, batch = build(small_graph, unlabelled=True, unlabelled_share=2.0)
    loss, logs = objective(batch, epoch=4)
    assert agent.choice.action.size(0) == 2 * batch.head.numel()  # asked last
    assert agent.reward.size(0) == batch.target.numel()  # rewarded on facts alone
    base, _ = build(small_graph)[0](batch, epoch=4)
    assert loss.item() == pytest.approx(base.item() + logs["kd_unlabelled"].item(), rel=1e-5)


def test_unlabelled_distillation_trains_entities_that_the_batch_does_not_show(small_graph):
    objective, _, batch = build(small_graph, unlabelled=True)
    loss, _ = objective(batch, epoch=4)
    loss.backward()
    assert (objective.model.entity.grad.abs().sum(-1) > 0).all()


def test_groups_of_the_teachers_top_k(small_graph):
    objective, _, batch = build(small_graph, "topk")
    ensemble = objective.ensemble
    softened = ensemble.soften(batch.head, batch.relation, 2.0)
    groups = ensemble.groups(objective.index, batch.head, batch.relation, None, softened)
    prob = (softened * ensemble.available[batch.head].unsqueeze(-1)).sum(1)
    assert torch.equal(groups.dense(60), torch.zeros(32, 60).scatter(1, prob.topk(10).indices, 1.0).bool())
    assert objective(batch, epoch=4)[0].isfinite()


def test_a_student_without_query_vectors_is_distilled_too(small_graph):
    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = torch.nn.Parameter(torch.zeros(60, 60))

        def score_tails(self, head, rel, candidates=None):
            return self.scores[head]

    objective, agent, batch = build(small_graph)
    model = Table()
    state = SelectionState("abc", torch.empty(60, 0), torch.ones(60), 3, 0)
    plain = DistillationObjective(
        model, objective.ensemble, objective.sampler, objective.facts, agent, state, objective.index, objective.loss
    )
    plain(batch, epoch=1)[0].backward()
    assert model.scores.grad[batch.head].abs().sum(-1).min() > 0
    with pytest.raises(ConfigError, match="n3: expected 0 for a Table"):
        CrossEntropyObjective(model, 0.1)
