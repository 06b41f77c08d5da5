from types import SimpleNamespace

import pytest
import torch

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import (
    DISTLoss,
    ListwiseKDLoss,
    NeighborDecoupledKDLoss,
    neighbor_decoupled_kd_loss,
)
from torch_geometric_dsom.nn import ComplEx, TransE
from torch_geometric_dsom.sampler import (
    CandidateSampler,
    QuerySampler,
    SelectionState,
    StaticSampler,
    TeacherSampler,
    UnlabelledSampler,
    combine_logits,
    influence_reward,
    margin_reward,
    random_folds,
    subset_index,
    teacher_signals,
)
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective
from torch_geometric_dsom.trainer import ensemble as ensemble_module
from torch_geometric_dsom.trainer.ensemble import Ensemble, fact_signals
from torch_geometric_dsom.trainer.lesson import HeldOutLesson, LookaheadLesson, TrainingLesson


class Recorder(StaticSampler):
    """Takes a fixed pattern of sets and remembers what it was given."""

    needs_all_rewards = False

    def sample(self, state, available=None, greedy=False):
        choice = super().sample(state, available)
        pattern = torch.rand(choice.action.shape, generator=torch.Generator().manual_seed(1)) < 0.6
        self.choice = type(choice)(choice.action & pattern, choice.log_prob, state, choice.available)
        return self.choice

    def update(self, choice, reward):
        self.rewarded, self.reward = choice, reward
        return {}


def build(small_graph, kind="head", unlabelled=False, reward="margin", on="train", folds=0, loss=None, **kwargs):
    g = torch.Generator().manual_seed(0)
    student = ComplEx(60, 3, rank=4, init_scale=0.7, generator=g)
    sets = [[ComplEx(60, 3, rank=4, init_scale=0.7, generator=g).freeze() for _ in range(3)] for _ in range(1 + folds)]
    loss = loss or NeighborDecoupledKDLoss(0.7, 1.3, 2.0)
    index = NeighborIndex(small_graph, kind)
    fold = random_folds(240, folds, g) if folds else None
    sampler = QuerySampler(small_graph, batch_size=32, folds=fold)
    state = SelectionState("abc", torch.empty(60, 0), torch.ones(60), 3, 8)
    agent = Recorder(3)
    ensemble = Ensemble(sets[0], torch.rand(60, 3, generator=g) < 0.8, sets[1:])
    facts = fact_signals(ensemble, QuerySampler(small_graph, batch_size=13, folds=fold), index, 2.0, folds > 0)
    validation = QuerySampler(split_triples(small_graph, "val"), 3, batch_size=16, max_facts=1)
    known = KnownAnswers.from_data(small_graph, ("train", "val"))
    lesson = {
        "train": lambda: TrainingLesson(agent, reward, True, known),
        "val": lambda: HeldOutLesson(
            agent, validation, fact_signals(ensemble, validation, index, 2.0), reward, True, known
        ),
        "lookahead": lambda: LookaheadLesson(agent, validation, True),
    }[on]()
    free = UnlabelledSampler(small_graph) if unlabelled else None
    kwargs |= {"lesson": lesson, "unlabelled": free, "warmup": 4}
    objective = DistillationObjective(student, ensemble, sampler, facts, agent, state, index, loss, **kwargs)
    return objective, agent, next(iter(sampler))


def generator():
    return torch.Generator().manual_seed(3)


def teacher_logits(ensemble, head, relation, teachers=None):
    return torch.stack([teacher.score_tails(head, relation) for teacher in teachers or ensemble.teachers])


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


@pytest.mark.parametrize("reward", ["margin", "influence", "rank", "lookahead"])
@pytest.mark.parametrize("options", [{"gradient": "exact"}, {"policy": "categorical"}, {"per_query": True}])
def test_an_agent_learns_once_a_batch_whatever_its_parts_and_pieces(small_graph, reward, options, monkeypatch):
    """The same draws, the same rewards, one update: the policy, the loss and the student's gradient are the same."""
    found = []
    per_query = options.pop("per_query", False)
    for rows, piece in ((32, 32), (32, 5), (7, 3), (1, 1)):
        on = "lookahead" if reward == "lookahead" else "train"
        objective, _, batch = build(small_graph, reward=reward, on=on, per_query=per_query, gamma=0.5)
        agent = TeacherSampler(3, objective.state.dim, hidden_dim=8, lr=0.1, generator=generator(), **options)
        objective.agent = objective.unlabelled_agent = objective.lesson.agent = agent
        objective.workspace_bytes = rows * objective.slabs * 60 * 4
        monkeypatch.setattr(ensemble_module, "CACHED_BYTES", piece * (3 + 3) * 60 * 4)
        loss, logs = objective(batch, epoch=4)
        gradient = torch.autograd.grad(loss, objective.model.entity)[0]
        assert agent.num_updates == 1
        found.append((loss, gradient, *(value.detach() for value in agent.parameters()), logs["reward"]))
    for other in found[1:]:
        # Adam's first step is a tenth even where a gradient is hardly more than its rounding.
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found[0], other, strict=True))


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


@pytest.mark.parametrize("reward", ["margin", "influence"])
def test_rewards_of_training_facts_with_candidates(small_graph, reward):
    objective, agent, batch = build(small_graph, reward=reward)
    objective.candidates = CandidateSampler(60, 60)
    objective(batch, epoch=4)
    other, plain, _ = build(small_graph, reward=reward)
    other(batch, epoch=4)
    assert torch.allclose(agent.reward, plain.reward, atol=1e-5)


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
    assert set(batch.target.tolist()) <= needed[0]


@pytest.mark.parametrize("name", ["complex", "transe", "table"])
def test_cross_entropy_over_candidates(small_graph, name):
    batch = next(iter(QuerySampler(small_graph, batch_size=20)))
    model = {"complex": ComplEx, "transe": TransE, "table": ComplEx}[name](60, 3, 4, generator=generator())
    scored = SimpleNamespace(score_tails=model.score_tails) if name == "table" else model
    some = CandidateSampler(60, 7, generator()).sample(batch.target)
    objective = CrossEntropyObjective(scored, candidates=CandidateSampler(60, 7, generator()))
    loss, _ = objective(batch, 1)
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


@pytest.mark.parametrize("name", ["standardised", "dist", "listwise"])
def test_any_other_loss_is_called_with_a_row_for_each_fact(small_graph, name):
    loss = {
        "standardised": NeighborDecoupledKDLoss(0.7, 1.3, 2.0, standardize=True),
        "dist": DISTLoss(temperature=2.0),
        "listwise": ListwiseKDLoss(temperature=2.0, k=4),
    }[name]
    objective, agent, batch = build(small_graph, gamma=1.0, loss=loss)
    got = torch.autograd.grad(objective(batch, epoch=4)[0], objective.model.entity)[0]
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    logits = objective.model.score_tails(head, relation)
    action = agent.choice.action
    soft = combine_logits(teacher_logits(objective.ensemble, head, relation), action, 2.0)
    mask = objective.index.rows(head, relation).dense(60)
    kd = loss(logits, soft, mask, action.any(-1).float())
    ce = torch.nn.functional.cross_entropy(logits, batch.target)
    expected = torch.autograd.grad(batch.weight * (ce + kd), objective.model.entity)[0]
    assert torch.allclose(got, expected, atol=1e-5)


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


def test_the_state_holds_the_divergence_of_the_student(small_graph):
    objective, agent, batch = build(small_graph)
    objective(batch, epoch=1)
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    own = (objective.model.score_tails(head, relation) / 2.0).log_softmax(-1)
    log_p = (teacher_logits(objective.ensemble, head, relation) / 2.0).log_softmax(-1).transpose(0, 1)
    divergence = (log_p.exp() * (log_p - own.unsqueeze(1))).sum(-1)
    found = agent.choice.state[:, objective.state.columns("divergence")]
    assert torch.allclose(found, divergence / 5.0, atol=1e-5)


def test_one_set_for_all_facts_of_a_query(small_graph):
    objective, agent, batch = build(small_graph, per_query=True)
    objective(batch, epoch=1)
    assert agent.choice.action.size(0) == batch.head.numel() < batch.target.numel()
    assert torch.equal(agent.rewarded.action, agent.choice.action[batch.row])
    each, other, _ = build(small_graph)
    each(batch, epoch=1)
    # The state of a query is that of each of its facts: it holds no gold answer.
    assert torch.allclose(other.choice.state, agent.choice.state[batch.row], atol=1e-6)


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


def probabilities(objective, head, relation):
    """Softened probabilities of teachers ``[M, K, N]`` and student ``[M, N]``."""
    theirs = (teacher_logits(objective.ensemble, head, relation) / 2.0).softmax(-1).transpose(0, 1)
    return theirs, (objective.model.score_tails(head, relation) / 2.0).softmax(-1).detach()


@pytest.mark.parametrize("reward", ["margin", "influence"])
def test_the_agent_is_rewarded_on_held_out_facts(small_graph, reward):
    """One reward for each of sixteen validation facts; the student's loss stays that of its own batch."""
    objective, agent, batch = build(small_graph, reward=reward, on="val")
    held = next(objective.lesson.batches)
    objective.lesson.batches = iter([held])
    loss, _ = objective(batch, epoch=4)
    action, each = agent.rewarded.action, torch.arange(16)
    assert not (action & ~objective.ensemble.available[held.head]).any()
    theirs, own = probabilities(objective, held.head, held.relation)
    if reward == "margin":
        expected = margin_reward(theirs[each, :, held.target].log(), own[each, held.target].log(), action)
    else:
        expected = influence_reward(theirs, own, held.target, action)
    assert torch.allclose(agent.reward, expected, atol=1e-5)
    assert loss.item() == pytest.approx(build(small_graph)[0](batch, epoch=4)[0].item(), rel=1e-5)


def test_influence_of_training_facts_is_that_of_the_dense_formula(small_graph):
    objective, agent, batch = build(small_graph, reward="influence")
    objective(batch, epoch=4)
    theirs, own = probabilities(objective, batch.head[batch.row], batch.relation[batch.row])
    expected = influence_reward(theirs, own, batch.target, agent.choice.action)
    assert expected.max() > 0.01
    assert torch.allclose(agent.reward, expected, atol=1e-5)


def test_lookahead_is_the_slope_of_the_held_out_loss_along_a_distillation_step(small_graph):
    """Against a step of the student's parameters that is really taken, for one fact at a time."""
    objective, agent, batch = build(small_graph, on="lookahead")
    held = next(objective.lesson.batches)
    objective.lesson.batches, objective.lesson.positive = iter([held]), False
    objective(batch, epoch=4)
    model = objective.model.double()
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    theirs, _ = probabilities(objective, head, relation)

    def held_out():
        return torch.nn.functional.cross_entropy(model.score_tails(held.head, held.relation), held.target)

    slopes = []
    for fact in range(20):
        chosen = agent.rewarded.action[fact]
        if not chosen.any():
            slopes.append(0.0)
            continue
        label = theirs[fact, chosen].mean(0).double()
        logits = model.score_tails(head[fact : fact + 1], relation[fact : fact + 1]) / 2.0
        steps = torch.autograd.grad(-(label * logits.log_softmax(-1)).sum(), (model.entity, model.relation))
        with torch.no_grad():
            before = held_out()
            for table, step in zip((model.entity, model.relation), steps, strict=True):
                table.sub_(1e-6 * step)
            slopes.append((before - held_out()).item() / 1e-6)
            for table, step in zip((model.entity, model.relation), steps, strict=True):
                table.add_(1e-6 * step)
    slopes = torch.tensor(slopes)
    found = agent.reward[:20]
    scale = (found @ slopes) / (slopes @ slopes)  # rewards are scaled to unit size over the batch
    assert scale > 0
    assert torch.allclose(found, scale * slopes, atol=1e-3 * found.abs().max().item())


@pytest.mark.parametrize("on", ["val", "train"])
def test_rank_rewards_are_filtered_ranks_of_the_mixture(small_graph, on):
    objective, agent, batch = build(small_graph, reward="rank", on=on)
    ensemble, student = objective.ensemble, objective.model
    if on == "val":
        held = next(objective.lesson.batches)
        objective.lesson.batches = iter([held])
        head, relation, target = held.head, held.relation, held.target
    else:
        head, relation, target = batch.head[batch.row][:64], batch.relation[batch.row][:64], batch.target[:64]
    objective(batch, epoch=4)
    facts = {(h, r, t) for h, r, t in with_inverses(split_triples(small_graph, "train"), 3).tolist()}
    facts |= {(h, r, t) for h, r, t in with_inverses(split_triples(small_graph, "val"), 3).tolist()}
    assert agent.reward.shape == target.shape
    for row in range(16):
        query = head[row : row + 1], relation[row : row + 1]
        h, r, t = int(query[0]), int(query[1]), int(target[row])
        others = [e for e in range(60) if e == t or (h, r, e) not in facts]
        chosen = [k for k in range(3) if agent.rewarded.action[row, k]]
        inverse = []
        for members in (chosen, None):
            if members is None:
                values = student.score_tails(*query)[0]
            else:
                values = sum(
                    (ensemble.teachers[k].score_tails(*query)[0].softmax(-1) for k in members), torch.zeros(60)
                )
            inverse.append(1 / (1 + sum(bool(values[e] > values[t]) for e in others)))
        expected = max(0.0, inverse[0] - inverse[1]) if chosen else 0.0
        assert agent.reward[row].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("on", ["val", "train"])
@pytest.mark.parametrize("reward", ["margin", "influence", "rank"])
def test_an_exact_agent_gets_the_rewards_of_all_subsets(small_graph, on, reward):
    objective, agent, batch = build(small_graph, reward=reward, on=on)
    agent.needs_all_rewards = True
    objective(batch, epoch=4)
    assert agent.reward.shape == (len(agent.rewarded.action), 8)
    index = subset_index(agent.rewarded.action)
    every = agent.reward.gather(1, index[:, None])[:, 0]
    other, single, _ = build(small_graph, reward=reward, on=on)
    other(batch, epoch=4)
    assert torch.allclose(every, single.reward, atol=1e-6)


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


def test_favourites_listen_to_available_teachers_only():
    logits = torch.tensor([[[5.0, 0.0, 0.0], [0.0, 9.0, 0.0]]] * 2)
    ensemble = Ensemble([], torch.tensor([[True, False], [False, True]]))
    assert ensemble.favourites(logits.softmax(-1), torch.tensor([0, 1])).tolist() == [0, 1]


def test_cross_entropy_objective_is_cross_entropy_and_penalty(small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=0.5)
    batch = next(iter(QuerySampler(small_graph, batch_size=10_000)))
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    expected = torch.nn.functional.cross_entropy(model.score_tails(head, relation), batch.target)
    expected = expected + 0.3 * model.penalty(head, relation, batch.target)
    assert CrossEntropyObjective(model, 0.3)(batch, 1)[0].item() == pytest.approx(expected.item(), rel=1e-5)
