import itertools
import math

import pytest
import torch

from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.sampler import TeacherChoice, TeacherSampler, bernoulli_entropy, combine_logits
from torch_geometric_dsom.sampler.teacher_sampler import action_log_prob


def make(seed=0, **kwargs):
    return TeacherSampler(
        **{"num_teachers": 3, "state_dim": 4, "generator": torch.Generator().manual_seed(seed), **kwargs}
    )


def test_log_prob_is_that_of_independent_bernoullis_and_sums_to_one():
    logits = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
    available = torch.tensor([[True, True, False]])
    total = 0.0
    for taken in itertools.product([False, True], repeat=2):
        p = [1 / (1 + math.exp(-z)) for z in logits[0].tolist()]
        expected = math.prod(p[k] if taken[k] else 1 - p[k] for k in range(2))
        got = action_log_prob(logits, torch.tensor([[*taken, False]]), available).exp().item()
        assert got == pytest.approx(expected)
        total += got
    assert total == pytest.approx(1.0)


def test_sampling_frequencies_start_at_init_prob_and_respect_availability():
    sampler = make(init_prob=0.3)
    available = torch.ones(20_000, 3, dtype=torch.bool)
    available[:, 2] = False
    choice = sampler.sample(torch.zeros(20_000, 4), available)
    assert torch.allclose(choice.action.float().mean(0), torch.tensor([0.3, 0.3, 0.0]), atol=0.02)
    assert choice.action.any(-1).logical_not().float().mean().item() == pytest.approx(0.49, abs=0.02)  # the empty set
    assert torch.equal(choice.weight, choice.action.any(-1).float())
    assert not choice.log_prob.requires_grad


def test_greedy_takes_what_is_more_likely_than_not():
    choice = make(init_prob=0.9).sample(torch.zeros(2, 4), torch.tensor([[True, True, False]] * 2), greedy=True)
    assert choice.action.tolist() == [[True, True, False]] * 2


def test_same_seed_same_choices_and_the_global_state_stays():
    before = torch.get_rng_state()
    one, other = (make(seed=3).sample(torch.zeros(50, 4)).action for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", range(5))
def test_learns_a_bandit_whose_best_set_depends_on_the_state(seed):
    """Teacher 0 helps where the first coordinate is positive, teacher 1 where it is negative, teacher 2 never."""
    sampler = make(seed, lr=0.02)
    g = torch.Generator().manual_seed(100 + seed)
    for _ in range(400):
        state = torch.randn(64, 4, generator=g)
        choice = sampler.sample(state)
        side = (state[:, 0] > 0).float()
        helpful = torch.stack([side, 1 - side, torch.zeros(64)], -1)
        reward = (choice.action * (2 * helpful - 1)).sum(-1)
        sampler.update(choice, reward)
    state = torch.tensor([[1.5, 0.0, 0.0, 0.0], [-1.5, 0.0, 0.0, 0.0]])
    assert sampler.sample(state, greedy=True).action.tolist() == [[True, False, False], [False, True, False]]


def test_the_empty_set_is_learned_where_every_teacher_harms():
    sampler = make(lr=0.02)
    for _ in range(300):
        choice = sampler.sample(torch.zeros(32, 4))
        sampler.update(choice, -choice.action.float().sum(-1))
    assert not sampler.sample(torch.zeros(1, 4), greedy=True).action.any()


def test_update_is_one_reinforce_step():
    """The gradient of the bias by hand: -(r - b)(a - p), b the batch mean at first, plus the entropy's."""
    sampler = make(hidden_dim=0, init_prob=0.7, entropy_weight=0.0)
    sampler.optimizer = torch.optim.SGD(sampler.parameters(), lr=1.0)
    state, reward = torch.zeros(6, 4), torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0, 1.0])
    choice = sampler.sample(state)
    bias = sampler.head.bias.detach().clone()
    logs = sampler.update(choice, reward)
    advantage = (reward - reward.mean()).unsqueeze(-1)
    expected = bias + (advantage * (choice.action.float() - 0.7)).mean(0)
    assert torch.allclose(sampler.head.bias, expected, atol=1e-6)
    assert logs["baseline"] == pytest.approx(reward.mean().item())
    assert logs["entropy"] == pytest.approx(-3 * (0.7 * math.log(0.7) + 0.3 * math.log(0.3)), rel=1e-5)
    sampler.update(sampler.sample(state), torch.ones(6))
    assert sampler.baseline.item() == pytest.approx(0.9 * reward.mean().item() + 0.1, rel=1e-5)


def test_entropy_bonus_pulls_to_one_half():
    sampler = make(entropy_weight=1.0, lr=0.05, init_prob=0.95)
    for _ in range(200):
        sampler.update(sampler.sample(torch.zeros(8, 4)), torch.zeros(8))
    assert torch.allclose(sampler(torch.zeros(1, 4)).sigmoid(), torch.full((1, 3), 0.5), atol=0.05)


def test_bernoulli_entropy_by_hand():
    p = torch.tensor([0.1, 0.5, 0.99], dtype=torch.float64)
    expected = -(p * p.log() + (1 - p) * (1 - p).log())
    assert torch.allclose(bernoulli_entropy(p.logit()), expected)


def test_state_dict_and_config_restore_the_policy():
    sampler = make()
    sampler.update(sampler.sample(torch.randn(8, 4, generator=torch.Generator().manual_seed(0))), torch.rand(8))
    copy = TeacherSampler(**sampler.config())
    copy.load_state_dict(sampler.state_dict())
    state = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(copy(state), sampler(state))
    assert torch.equal(copy.baseline, sampler.baseline)


def test_reset_parameters_starts_anew():
    sampler = make()
    sampler.update(sampler.sample(torch.ones(8, 4)), torch.rand(8))
    sampler.reset_parameters()
    assert torch.allclose(sampler(torch.ones(1, 4)).sigmoid(), torch.full((1, 3), 0.7))
    assert sampler.baseline.item() == 0.0


def test_combine_is_the_function():
    logits = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))
    action = torch.tensor([[True, False, True], [False, False, False]])
    choice = TeacherChoice(action, torch.zeros(2), torch.zeros(2, 4), torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(choice.combine(logits, 2.0), combine_logits(logits, action, 2.0))


def test_an_empty_batch_changes_nothing():
    sampler = make()
    before = [p.clone() for p in sampler.parameters()]
    sampler.update(sampler.sample(torch.empty(0, 4)), torch.empty(0))
    assert all(torch.equal(a, b) for a, b in zip(before, sampler.parameters(), strict=True))


def test_bad_arguments_are_named():
    sampler = make()
    with pytest.raises(ConfigError, match=r"state: expected \[B, 4\], got \[2, 3\]"):
        sampler.sample(torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="available"):
        sampler.sample(torch.zeros(2, 4), torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(NonFiniteError, match="state"):
        sampler.sample(torch.full((2, 4), torch.nan))
    choice = sampler.sample(torch.zeros(2, 4))
    with pytest.raises(ConfigError, match="reward"):
        sampler.update(choice, torch.zeros(3))
    with pytest.raises(NonFiniteError, match="reward"):
        sampler.update(choice, torch.tensor([0.0, torch.inf]))
    for kwargs in ({"num_teachers": 0}, {"state_dim": 0}, {"init_prob": 1.0}, {"baseline_momentum": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(kwargs))):
            make(**kwargs)
