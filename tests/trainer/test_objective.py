import pytest
import torch

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss, neighbor_decoupled_kd_loss
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.sampler import (
    QuerySampler,
    SelectionState,
    StaticSampler,
    UnlabelledSampler,
    combine_logits,
    margin_reward,
    teacher_signals,
)
from torch_geometric_dsom.trainer import CrossEntropyObjective, DistillationObjective
from torch_geometric_dsom.trainer.objective import fact_signals, favourites


class Recorder(StaticSampler):
    """Takes a fixed pattern of sets and remembers what it was given."""

    def sample(self, state, available=None, greedy=False):
        choice = super().sample(state, available)
        pattern = torch.rand(choice.action.shape, generator=torch.Generator().manual_seed(1)) < 0.6
        self.choice = type(choice)(choice.action & pattern, choice.log_prob, state, choice.available)
        return self.choice

    def update(self, choice, reward):
        self.reward = reward
        return {}


def build(small_graph, kind, unlabelled=False, held_out=False, **kwargs):
    g = torch.Generator().manual_seed(0)
    student = ComplEx(60, 3, rank=4, init_scale=0.7, generator=g)
    teachers = [ComplEx(60, 3, rank=4, init_scale=0.7, generator=g).freeze() for _ in range(3)]
    loss = NeighborDecoupledKDLoss(0.7, 1.3, 2.0)
    groups = NeighborIndex(small_graph, kind)
    sampler = QuerySampler(small_graph, batch_size=32)
    state = SelectionState("abc", torch.empty(60, 0), torch.ones(60), 3, 8)
    agent = Recorder(3)
    available = torch.rand(60, 3, generator=g) < 0.8
    facts = fact_signals(teachers, QuerySampler(small_graph, batch_size=13), groups, available, 2.0)
    validation = QuerySampler(split_triples(small_graph, "val"), 3, batch_size=16, max_facts=1)
    pair = (validation, fact_signals(teachers, validation, groups, available, 2.0)) if held_out else None
    free = UnlabelledSampler(small_graph) if unlabelled else None
    kwargs |= {"held_out": pair, "unlabelled": free, "warmup": 4}
    objective = DistillationObjective(student, teachers, facts, available, agent, state, groups, loss, **kwargs)
    return student, teachers, agent, available, groups, sampler, objective


@pytest.mark.parametrize("kind", ["head", "answers", "target", "none"])
def test_gradient_equals_the_plain_losses_fact_by_fact(small_graph, kind):
    student, teachers, agent, available, groups, sampler, objective = build(small_graph, kind, gamma=0.5, n3=0.1)
    batch = next(iter(sampler))
    loss, logs = objective(batch, epoch=2)
    got = torch.autograd.grad(loss, student.entity)[0]

    head, relation = batch.head[batch.row], batch.relation[batch.row]
    logits = student.score_tails(head, relation)
    teacher_logits = torch.stack([teacher.score_tails(head, relation) for teacher in teachers])
    action = agent.choice.action
    assert not (action & ~available[head]).any()
    soft = combine_logits(teacher_logits, action, 2.0)
    mask = groups.rows(head, relation, batch.target).dense(60)
    kd = neighbor_decoupled_kd_loss(logits, soft, mask, 0.7, 1.3, 2.0, weight=action.any(-1).float())
    ce = torch.nn.functional.cross_entropy(logits, batch.target) + 0.1 * student.penalty(head, relation, batch.target)
    expected = torch.autograd.grad(batch.weight * (ce + 0.25 * kd), student.entity)[0]  # half way through the warm-up
    assert torch.allclose(got, expected, atol=1e-6)
    assert logs["gamma"] == 0.25

    log_prob = torch.stack(
        [(z / 2.0).log_softmax(-1).gather(1, batch.target[:, None])[:, 0] for z in teacher_logits], -1
    )
    own = (logits / 2.0).log_softmax(-1).gather(1, batch.target[:, None])[:, 0]
    assert torch.allclose(agent.reward, margin_reward(log_prob, own, action), atol=1e-5)


def test_the_state_holds_the_divergence_of_the_student(small_graph):
    student, teachers, agent, _, _, sampler, objective = build(small_graph, "head")
    batch = next(iter(sampler))
    objective(batch, epoch=1)
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    own = (student.score_tails(head, relation) / 2.0).log_softmax(-1)
    log_p = torch.stack([(teacher.score_tails(head, relation) / 2.0).log_softmax(-1) for teacher in teachers], 1)
    divergence = (log_p.exp() * (log_p - own.unsqueeze(1))).sum(-1)
    assert torch.allclose(agent.choice.state[:, 8 + 15 + 1 : 8 + 15 + 4], divergence / 5.0, atol=1e-5)


def test_unlabelled_queries_add_their_own_distillation_and_no_reward(small_graph):
    batch = next(iter(build(small_graph, "head")[5]))
    _, _, agent, *_, objective = build(small_graph, "head", unlabelled=True, unlabelled_share=2.0)
    loss, logs = objective(batch, epoch=4)
    assert agent.choice.action.size(0) == 2 * batch.head.numel()  # asked last
    assert agent.reward.size(0) == batch.target.numel()  # rewarded on facts alone
    *_, plain = build(small_graph, "head")
    base, _ = plain(batch, epoch=4)
    assert loss.item() == pytest.approx(base.item() + logs["kd_unlabelled"], rel=1e-5)


def test_unlabelled_distillation_trains_entities_that_the_batch_does_not_show(small_graph):
    student, *_, sampler, objective = build(small_graph, "head", unlabelled=True)
    loss, _ = objective(next(iter(sampler)), epoch=4)
    loss.backward()
    assert (student.entity.grad.abs().sum(-1) > 0).all()


def test_fact_signals_are_in_the_order_of_the_facts(small_graph):
    _, teachers, _, available, groups, sampler, _ = build(small_graph, "head")
    found = fact_signals(teachers, sampler, groups, available, 2.0)
    head, relation, tail = sampler.facts.unbind(-1)
    logits = torch.stack([t.score_tails(head, relation) for t in teachers], 1)
    prob = logits.softmax(-1) * available[head].unsqueeze(-1)
    favourite = prob.sum(1).argmax(-1)
    assert torch.equal(found.favourite, favourite)
    each = torch.arange(len(head))
    expected = teacher_signals(logits, each, favourite, groups.rows(head, relation, favourite), 2.0)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found.teachers, expected, strict=True))
    assert torch.allclose(found.gold, (logits / 2.0).log_softmax(-1)[each, :, tail], atol=1e-5)


def test_the_agent_is_rewarded_on_held_out_facts_where_there_are_any(small_graph):
    """One reward for each of sixteen validation facts, by hand; the student's loss stays that of its own batch."""
    student, teachers, agent, available, _, sampler, objective = build(small_graph, "head", held_out=True)
    held = next(objective.held_out[0])
    objective.held_out = (iter([held]), objective.held_out[1])
    seen = []
    agent.update = lambda choice, reward: seen.append((choice, reward)) or {}
    batch = next(iter(sampler))
    loss, _ = objective(batch, epoch=4)
    assert len(seen) == 1
    choice, reward = seen[0]
    head, relation, gold = held.head, held.relation, held.target
    assert reward.shape == (16,)
    assert not (choice.action & ~available[head]).any()
    each = torch.arange(16)
    log_prob = torch.stack([(t.score_tails(head, relation) / 2.0).log_softmax(-1)[each, gold] for t in teachers], -1)
    own = (student.score_tails(head, relation) / 2.0).log_softmax(-1)[each, gold]
    assert torch.allclose(reward, margin_reward(log_prob, own, choice.action), atol=1e-5)
    *_, plain = build(small_graph, "head")
    assert loss.item() == pytest.approx(plain(batch, epoch=4)[0].item(), rel=1e-5)


def test_rank_rewards_are_filtered_ranks_of_the_mixture(small_graph):
    known = KnownAnswers.from_data(small_graph, ("train", "val"))
    student, teachers, agent, *_, sampler, objective = build(small_graph, "head", held_out=True, known=known)
    held = next(objective.held_out[0])
    objective.held_out = (iter([held]), objective.held_out[1])
    seen = []
    agent.update = lambda choice, reward: seen.append((choice, reward)) or {}
    objective(next(iter(sampler)), epoch=4)
    choice, reward = seen[0]
    facts = {(h, r, t) for h, r, t in with_inverses(split_triples(small_graph, "train"), 3).tolist()}
    facts |= {(h, r, t) for h, r, t in with_inverses(split_triples(small_graph, "val"), 3).tolist()}
    for row in range(16):
        query = held.head[row : row + 1], held.relation[row : row + 1]
        h, r, t = int(query[0]), int(query[1]), int(held.target[row])
        others = [e for e in range(60) if e == t or (h, r, e) not in facts]
        chosen = [k for k in range(3) if choice.action[row, k]]
        inverse = []
        for members in (chosen, None):
            if members is None:
                values = student.score_tails(*query)[0]
            else:
                values = sum((teachers[k].score_tails(*query)[0].softmax(-1) for k in members), torch.zeros(60))
            inverse.append(1 / (1 + sum(bool(values[e] > values[t]) for e in others)))
        expected = max(0.0, inverse[0] - inverse[1]) if chosen else 0.0
        assert reward[row].item() == pytest.approx(expected, abs=1e-6)


def test_favourites_listen_to_available_teachers_only():
    logits = torch.tensor([[[5.0, 0.0, 0.0], [0.0, 9.0, 0.0]]] * 2)
    available = torch.tensor([[True, False], [False, True]])
    assert favourites(logits, available).tolist() == [0, 1]


def test_cross_entropy_objective_is_cross_entropy_and_penalty(small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=0.5)
    batch = next(iter(QuerySampler(small_graph, batch_size=10_000)))
    head, relation = batch.head[batch.row], batch.relation[batch.row]
    expected = torch.nn.functional.cross_entropy(model.score_tails(head, relation), batch.target)
    expected = expected + 0.3 * model.penalty(head, relation, batch.target)
    assert CrossEntropyObjective(model, 0.3)(batch, 1)[0].item() == pytest.approx(expected.item(), rel=1e-5)
