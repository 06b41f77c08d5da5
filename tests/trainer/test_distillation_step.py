import pytest
import torch
from objectives import build, teacher_logits

from torch_geometric_dsom.loss import (
    DISTLoss,
    ListwiseKDLoss,
    NeighborDecoupledKDLoss,
)
from torch_geometric_dsom.sampler import (
    combine_logits,
)


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
