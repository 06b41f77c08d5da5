import pytest
import torch
from objectives import build, generator, probabilities

from torch_geometric_dsom.data import split_triples, with_inverses
from torch_geometric_dsom.sampler import (
    CandidateSampler,
    TeacherSampler,
    influence_reward,
    margin_reward,
    subset_index,
)
from torch_geometric_dsom.trainer import ensemble as ensemble_module


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


@pytest.mark.parametrize("reward", ["margin", "influence"])
def test_rewards_of_training_facts_with_candidates(small_graph, reward):
    objective, agent, batch = build(small_graph, reward=reward)
    objective.candidates = CandidateSampler(60, 60)
    objective(batch, epoch=4)
    other, plain, _ = build(small_graph, reward=reward)
    other(batch, epoch=4)
    assert torch.allclose(agent.reward, plain.reward, atol=1e-5)


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
