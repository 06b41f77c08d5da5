import itertools
import math

import pytest
import torch

from torch_geometric_dsom.sampler import (
    all_subsets,
    first_order_reward,
    influence_reward,
    inverse_rank,
    lookahead_reward,
    margin_reward,
    rank_reward,
    set_log_prob,
)


def test_set_log_prob_of_every_subset():
    prob = torch.tensor([[0.5, 0.2, 0.05]], dtype=torch.float64)
    for subset in itertools.product([False, True], repeat=3):
        value = set_log_prob(prob.log(), torch.tensor([subset])).item()
        chosen = [p for p, taken in zip(prob[0].tolist(), subset, strict=True) if taken]
        assert math.isclose(value, math.log(sum(chosen) / len(chosen))) if chosen else value == -math.inf


def test_margin_rewards_what_helps_and_nothing_else():
    teachers, student = torch.tensor([[0.5, 0.1]]).log().expand(4, 2), torch.full((4,), 0.25).log()
    action = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    signed = margin_reward(teachers, student, action, positive=False)
    expected = torch.tensor([0.0, math.log(2.0), math.log(0.4), math.log(1.2)])
    assert torch.allclose(signed, expected, atol=1e-6)
    assert torch.allclose(margin_reward(teachers, student, action), expected.clamp_min(0.0), atol=1e-6)


def test_rank_reward_equals_a_loop():
    g = torch.Generator().manual_seed(0)
    teachers = torch.rand(12, 3, 7, generator=g).mul(4).round() / 4  # with ties
    student = torch.rand(12, 7, generator=g)
    target = torch.randint(7, (12,), generator=g)
    action = torch.rand(12, 3, generator=g) < 0.5
    action[0] = False

    def inverse_rank(values, t):
        above = sum(v > values[t] for v in values)
        tied = sum(v == values[t] for j, v in enumerate(values) if j != t)
        return 1 / (1 + above + tied / 2)

    expected = []
    for b in range(12):
        total = (teachers[b] * action[b].unsqueeze(-1)).sum(0).tolist()
        gain = inverse_rank(total, target[b]) - inverse_rank(student[b].tolist(), target[b])
        expected.append(gain if action[b].any() else 0.0)
    signed = rank_reward(teachers, student, target, action, positive=False)
    assert torch.allclose(signed, torch.tensor(expected), atol=1e-6)
    assert torch.allclose(rank_reward(teachers, student, target, action), signed.clamp_min(0.0))


def probabilities(rows=5, teachers=3, entities=7):
    g = torch.Generator().manual_seed(3)
    student = torch.randn(rows, entities, generator=g, dtype=torch.float64).softmax(-1)
    theirs = torch.randn(rows, teachers, entities, generator=g, dtype=torch.float64).softmax(-1)
    return student, theirs, torch.randint(entities, (rows,), generator=g)


def test_influence_is_the_slope_of_the_cross_entropy_along_a_distillation_step():
    student, teachers, target = probabilities()
    action = torch.tensor([[True, False, True]] * 5)
    mixture = teachers[:, [0, 2]].mean(1)
    logits = student.log().requires_grad_()
    step = logits.softmax(-1) - mixture  # gradient of the distillation loss in the logits
    epsilon = 1e-6
    loss = [torch.nn.functional.cross_entropy(logits - e * step, target, reduction="none") for e in (0.0, epsilon)]
    expected = (loss[0] - loss[1]) / epsilon
    found = influence_reward(teachers, student, target, action, positive=False)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(influence_reward(teachers, student, target, action), expected.clamp_min(0), atol=1e-5)


def test_first_order_reward_by_hand():
    student, teachers = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([[0.5, 2.0]] * 3)
    action = torch.tensor([[True, False], [True, True], [False, False]])
    assert first_order_reward(student, teachers, action, positive=False).tolist() == [0.5, -0.25, 0.0]
    assert first_order_reward(student, teachers, action).tolist() == [0.5, 0.0, 0.0]


def test_lookahead_is_linear_in_the_direction():
    student, teachers, _ = probabilities()
    direction = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    action = torch.tensor([[True, True, False], [False, True, False], [False] * 3, [True] * 3, [False, False, True]])
    found = lookahead_reward(direction, student, teachers, action, positive=False)
    for b in range(5):
        chosen = [teachers[b, k] for k in range(3) if action[b, k]]
        expected = float(direction[b] @ (student[b] - sum(chosen) / len(chosen))) if chosen else 0.0
        assert found[b].item() == pytest.approx(expected)


def test_rewards_of_all_subsets_are_those_of_each():
    student, teachers, target = probabilities()
    direction = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = torch.arange(5)
    gold, own = teachers[rows, :, target].log(), student[rows, target].log()
    functions = [
        lambda a, p: margin_reward(gold, own, a, p),
        lambda a, p: rank_reward(teachers, student, target, a, p),
        lambda a, p: influence_reward(teachers, student, target, a, p),
        lambda a, p: lookahead_reward(direction, student, teachers, a, p),
    ]
    subsets = all_subsets(3)
    for function in functions:
        for positive in (True, False):
            every = function(subsets.expand(5, -1, -1), positive)
            assert every.shape == (5, 8)
            assert (every[:, 0] == 0).all()  # no teacher, nothing gained
            assert not positive or (every >= 0).all()
            for s, subset in enumerate(subsets):
                assert torch.allclose(every[:, s], function(subset.expand(5, 3), positive))


def test_inverse_rank_of_ties_by_hand():
    values = torch.tensor([[2.0, 2.0, 3.0, 1.0]])
    assert inverse_rank(values, torch.tensor([0])).item() == pytest.approx(1 / 2.5)


def test_other_known_answers_have_no_probability():
    from torch_geometric_dsom.data import KnownAnswers
    from torch_geometric_dsom.sampler import QueryBatch, filtered_probabilities

    known = KnownAnswers(torch.tensor([[0, 0, 1], [0, 0, 2]]), num_entities=4, num_relations=1)
    batch = QueryBatch(*(torch.tensor([x]) for x in (0, 0, 0, 1, 0)))
    teachers, student = filtered_probabilities(torch.zeros(1, 2, 4), torch.zeros(1, 4), batch, known)
    assert teachers.tolist() == [[[0.25, 0.25, 0.0, 0.25]] * 2]  # 1 is asked for, 2 is another answer
    assert student.tolist() == [[0.25, 0.25, 0.0, 0.25]]
