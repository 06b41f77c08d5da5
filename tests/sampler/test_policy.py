import itertools
import math

import pytest
import torch

from torch_geometric_dsom.sampler import (
    POLICIES,
    BernoulliPolicy,
    CategoricalPolicy,
    all_subsets,
    bernoulli_entropy,
)


def case(name, rows=4):
    g = torch.Generator().manual_seed(0)
    policy = POLICIES[name](3)
    logits = torch.randn(rows, policy.num_logits, generator=g, dtype=torch.float64)
    available = torch.tensor([[True, True, True], [True, True, False], [False, False, False], [True, False, True]])
    return policy, logits, available[:rows]


def test_log_prob_is_that_of_independent_bernoullis_and_sums_to_one():
    logits = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
    available = torch.tensor([[True, True, False]])
    total = 0.0
    for taken in itertools.product([False, True], repeat=2):
        p = [1 / (1 + math.exp(-z)) for z in logits[0].tolist()]
        expected = math.prod(p[k] if taken[k] else 1 - p[k] for k in range(2))
        got = BernoulliPolicy(3).log_prob(logits, torch.tensor([[*taken, False]]), available).exp().item()
        assert got == pytest.approx(expected)
        total += got
    assert total == pytest.approx(1.0)


def test_log_prob_of_a_categorical_is_a_softmax_over_what_is_possible():
    logits = torch.arange(4.0, dtype=torch.float64).unsqueeze(0)
    only_second = torch.tensor([[False, True]])
    found = CategoricalPolicy(2).all_log_prob(logits, only_second).exp()
    expected = torch.tensor([[1.0, 0.0, math.exp(2.0), 0.0]], dtype=torch.float64) / (1 + math.exp(2.0))
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("name", POLICIES)
def test_all_log_prob_agrees_with_log_prob_and_entropy(name):
    policy, logits, available = case(name)
    every = policy.all_log_prob(logits, available)
    assert torch.allclose(every.exp().sum(-1), torch.ones(4, dtype=torch.float64))
    for index, subset in enumerate(all_subsets(3)):
        possible = (~subset | available).all(-1)
        one = policy.log_prob(logits, subset.expand(4, 3), available)
        assert torch.allclose(every[possible, index], one[possible])
        assert (every[~possible, index] == -torch.inf).all()
    p = every.exp()
    expected = torch.tensor([-sum(x * math.log(x) for x in row if x > 0) for row in p.tolist()])
    assert torch.allclose(policy.entropy(logits, available).float(), expected.float(), atol=1e-6)


@pytest.mark.parametrize("name", POLICIES)
def test_draws_have_the_probabilities_and_greedy_is_the_mode(name):
    policy, logits, available = case(name)
    g = torch.Generator().manual_seed(1)
    rows = 40_000
    for row in range(4):
        z, a = logits[row].expand(rows, -1), available[row].expand(rows, -1)
        action = policy.draw(z, a, g)
        code = (action.long() * torch.tensor([1, 2, 4])).sum(-1)
        share = torch.bincount(code, minlength=8) / rows
        expected = policy.all_log_prob(z[:1], a[:1]).exp()[0]
        assert torch.allclose(share.double(), expected, atol=0.01)
        mode = all_subsets(3)[expected.argmax()]
        assert torch.equal(policy.greedy(z[:1], a[:1])[0], mode)


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_are_finite_where_nothing_is_available(name):
    policy, logits, available = case(name)
    logits.requires_grad_()
    log_prob = policy.all_log_prob(logits, available)
    value = (log_prob.exp() * torch.arange(8.0)).sum() + policy.entropy(logits, available).sum()
    value.backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", POLICIES)
def test_initial_logits_take_each_teacher_with_the_probability(name):
    policy = POLICIES[name](3)
    every = policy.all_log_prob(policy.initial(0.2).unsqueeze(0), torch.ones(1, 3, dtype=torch.bool)).exp()[0]
    expected = torch.tensor([0.2**k * 0.8 ** (3 - k) for k in all_subsets(3).sum(-1).tolist()])
    assert torch.allclose(every, expected)


def test_bernoulli_entropy_by_hand():
    p = torch.tensor([0.1, 0.5, 0.99], dtype=torch.float64)
    expected = -(p * p.log() + (1 - p) * (1 - p).log())
    assert torch.allclose(bernoulli_entropy(p.logit()), expected)
