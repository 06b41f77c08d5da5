import itertools
import math

import torch

from torch_geometric_dsom.sampler import all_subsets, margin_reward, rank_reward, set_log_prob


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


def test_all_subsets_are_all_and_each_once():
    subsets = all_subsets(4)
    assert subsets.shape == (16, 4)
    assert subsets.unique(dim=0).size(0) == 16
    assert not subsets[0].any()


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
