import math

import pytest
import torch

from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.sampler import (
    TeacherChoice,
    TeacherSampler,
    all_subsets,
    combine_logits,
    counterfactual_baseline,
    subset_index,
)


def make(seed=0, **kwargs):
    return TeacherSampler(
        **{"num_teachers": 3, "state_dim": 4, "generator": torch.Generator().manual_seed(seed), **kwargs}
    )


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


@pytest.mark.parametrize("kwargs", [{}, {"policy": "categorical", "baseline": "learned"}, {"gradient": "exact"}])
def test_a_restored_sampler_goes_on_as_the_old_one_would(kwargs):
    g = torch.Generator().manual_seed(0)
    states = torch.randn(6, 8, 4, generator=g)
    rewards = torch.rand(6, 8, 8, generator=g)
    sampler = make(**kwargs)
    for state, reward in zip(states[:3], rewards, strict=False):
        sampler.update(sampler.sample(state), reward)
    copy = TeacherSampler(**sampler.config())
    copy.load_state_dict(sampler.state_dict())
    for one in (sampler, copy):
        for state, reward in zip(states[3:], rewards[3:], strict=True):
            one.update(one.sample(state), reward)
    for a, b in zip(sampler.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(copy.baseline, sampler.baseline)
    assert torch.equal(copy.sample(states[0]).action, sampler.sample(states[0]).action)


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
    exact = make(gradient="exact")
    with pytest.raises(ConfigError, match=r"reward: expected \[2, 8\], got \[2\]"):
        exact.update(choice, torch.zeros(2))
    with pytest.raises(ConfigError, match="credit"):
        make(policy="categorical", credit="counterfactual")
    for other in ({"gradient": "exact"}, {"credit": "counterfactual"}):
        with pytest.raises(ConfigError, match="baseline: 'learned' expects reinforce and shared credit"):
            make(baseline="learned", **other)
    for name in ("policy", "gradient", "baseline", "credit"):
        with pytest.raises(ConfigError, match=f"{name}: expected one of .*, got 'x'"):
            make(**{name: "x"})
    for kwargs in ({"num_teachers": 0}, {"state_dim": 0}, {"init_prob": 1.0}, {"baseline_momentum": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(kwargs))):
            make(**kwargs)


@pytest.mark.parametrize("policy", ["bernoulli", "categorical"])
def test_exact_gradient_is_that_of_the_expectation_in_a_loop(policy):
    sampler = make(hidden_dim=0, policy=policy, gradient="exact", entropy_weight=0.3).double()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sampler.head.weight.normal_(generator=g)
    state = torch.randn(5, 4, generator=g, dtype=torch.float64)
    reward = torch.randn(5, 8, generator=g, dtype=torch.float64)
    available = torch.rand(5, 3, generator=g) < 0.7
    logits = state @ sampler.head.weight.T + sampler.head.bias
    total = 0.0
    for b in range(5):
        possible = [a for a in range(8) if all(available[b, k] or not a >> k & 1 for k in range(3))]
        if policy == "bernoulli":
            p = logits[b].sigmoid()
            bits = range(3)
            terms = {a: math.prod(p[k] if a >> k & 1 else 1 - p[k] for k in bits if available[b, k]) for a in possible}
            terms = {a: torch.as_tensor(p_a, dtype=torch.float64) for a, p_a in terms.items()}
        else:
            mass = sum(logits[b, a].exp() for a in possible)
            terms = {a: logits[b, a].exp() / mass for a in possible}
        total = total + sum(p_a * reward[b, a] for a, p_a in terms.items()) / 5
        total = total - 0.3 * sum(p_a * p_a.log() for p_a in terms.values()) / 5
    expected = torch.autograd.grad(-total, (sampler.head.weight, sampler.head.bias))
    sampler.optimizer = torch.optim.SGD(sampler.parameters(), lr=1.0)
    before = [p.detach().clone() for p in sampler.parameters()]
    sampler.update(sampler.sample(state, available), reward)
    for old, new, gradient in zip(before, sampler.parameters(), expected, strict=True):
        assert torch.allclose(old - new, gradient, atol=1e-10)


def steps(sampler, state, reward, available, draws):
    """The step that REINFORCE takes for each of many draws, started from the same weights every time."""
    start = [p.detach().clone() for p in sampler.parameters()]
    found = []
    for _ in range(draws):
        sampler.optimizer = torch.optim.SGD(sampler.parameters(), lr=1.0)
        sampler.update(sampler.sample(state, available), reward)
        found.append(torch.cat([(p.detach() - q).flatten() for p, q in zip(sampler.parameters(), start, strict=True)]))
        with torch.no_grad():
            for p, q in zip(sampler.parameters(), start, strict=True):
                p.copy_(q)
    return torch.stack(found)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"baseline": "none"},
        {"baseline": "none", "policy": "categorical"},
        {"credit": "counterfactual"},
    ],
)
def test_reinforce_is_the_exact_gradient_on_average(kwargs):
    """Within four standard errors in every coordinate, over 4,000 draws of three rows each."""
    g = torch.Generator().manual_seed(5)
    state, reward = torch.randn(3, 2, generator=g), torch.rand(3, 8, generator=g)
    available = torch.tensor([[True, True, True], [True, False, True], [True, True, True]])
    weight = 0.5 * torch.randn(8, 2, generator=g)
    samplers = {}
    for gradient in ("reinforce", "exact"):
        options = kwargs if gradient == "reinforce" else {**kwargs, "credit": "shared"}
        one = make(hidden_dim=0, state_dim=2, entropy_weight=0.0, gradient=gradient, **options)
        with torch.no_grad():
            one.head.weight.copy_(weight[: one.head.weight.size(0)])
        samplers[gradient] = one
    exact = steps(samplers["exact"], state, reward, available, 1)[0]
    drawn = steps(samplers["reinforce"], state, reward, available, 4000)
    error = drawn.std(dim=0) / math.sqrt(4000)
    assert ((drawn.mean(dim=0) - exact).abs() <= 4 * error + 1e-6).all()
    assert exact.abs().max() > 10 * error.max()  # the comparison can tell them from zero


def test_counterfactual_credit_varies_less():
    g = torch.Generator().manual_seed(5)
    state, reward = torch.randn(3, 2, generator=g), torch.rand(3, 8, generator=g)
    spread = []
    for credit in ("shared", "counterfactual"):
        one = make(hidden_dim=0, state_dim=2, entropy_weight=0.0, baseline="none", credit=credit)
        spread.append(steps(one, state, reward, None, 500).var(dim=0).sum().item())
    assert spread[1] < 0.5 * spread[0]


def test_counterfactual_baseline_equals_a_loop():
    g = torch.Generator().manual_seed(0)
    reward, prob = torch.rand(6, 8, generator=g), torch.rand(6, 3, generator=g)
    action = torch.rand(6, 3, generator=g) < 0.5
    found = counterfactual_baseline(reward, action, prob)
    for b in range(6):
        for k in range(3):
            value = 0.0
            for taken, p in ((True, prob[b, k]), (False, 1 - prob[b, k])):
                other = action[b].clone()
                other[k] = taken
                value += p * reward[b, sum(1 << j for j in range(3) if other[j])]
            assert found[b, k].item() == pytest.approx(value.item(), rel=1e-5)


BUDGET = 400  # updates of 64 draws each


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"baseline": "learned"},
        {"credit": "counterfactual"},
        {"policy": "categorical"},
        {"gradient": "exact"},
        {"policy": "categorical", "gradient": "exact"},
    ],
    ids=lambda kwargs: " ".join(kwargs.values()) or "default",
)
def test_finds_the_best_arm_in_nineteen_of_twenty_draws(seed, kwargs):
    """The set {0, 2} pays 1 on average, each teacher more or less 0.25 less; rewards are noisy; 400 updates of 64."""
    sampler = make(seed, lr=0.05, entropy_weight=0.01, **kwargs)
    best = torch.tensor([True, False, True])
    mean = 1.0 - 0.25 * (all_subsets(3) != best).sum(-1).float()
    g = torch.Generator().manual_seed(100 + seed)
    state = torch.zeros(64, 4)
    for _ in range(BUDGET):
        choice = sampler.sample(state)
        reward = mean.expand(64, 8) + 0.5 * torch.randn(64, 8, generator=g)
        if not (sampler.gradient == "exact" or sampler.credit == "counterfactual"):
            reward = reward.gather(1, subset_index(choice.action).unsqueeze(-1)).squeeze(-1)
        sampler.update(choice, reward)
    drawn = sampler.sample(torch.zeros(2000, 4)).action
    assert (drawn == best).all(dim=-1).float().mean().item() >= 0.95


def test_a_learned_baseline_tells_states_apart():
    """Both states pay whatever is done, one 5 and one 1: the baseline learns that, the policy has nothing to learn."""
    sampler = make(baseline="learned", lr=0.05, hidden_dim=0, entropy_weight=0.0)
    state = torch.eye(4)[torch.arange(64) % 2]
    reward = torch.where(state[:, 0] > 0, 5.0, 1.0)
    for _ in range(300):
        sampler.update(sampler.sample(state), reward)
    value = sampler.value(torch.eye(4)[:2]).flatten()
    assert torch.allclose(value, torch.tensor([5.0, 1.0]), atol=0.05)


def test_only_a_categorical_policy_can_take_teachers_apart_but_not_together():
    """Either of two teachers pays, both or none do not: best of one Bernoulli each is 3/4 of the best."""
    found = {}
    for policy in ("bernoulli", "categorical"):
        sampler = make(num_teachers=2, policy=policy, gradient="exact", lr=0.05, entropy_weight=0.02, init_prob=0.5)
        reward = torch.tensor([0.0, 1.0, 1.0, 0.0]).expand(8, 4)
        for _ in range(300):
            sampler.update(sampler.sample(torch.zeros(8, 4)), reward)
        log_prob = sampler.policy.all_log_prob(sampler(torch.zeros(1, 4)), torch.ones(1, 2, dtype=torch.bool))
        found[policy] = log_prob.exp()[0]
    assert torch.allclose(found["categorical"], torch.tensor([0.0, 0.5, 0.5, 0.0]), atol=0.02)
    assert not torch.allclose(found["bernoulli"], torch.tensor([0.0, 0.5, 0.5, 0.0]), atol=0.1)
