import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ComplEx, GuidedScorer, PathScorer, RuleScorer, make_guided_scorer, path_scorer

NODES, RELATIONS = 6, 2
FACTS = st.lists(st.tuples(*(st.integers(0, last - 1) for last in (NODES, RELATIONS, NODES))), min_size=1, max_size=14)
SHAPE = {"dim": 5, "layers": 3, "attention_dim": 2}
HEAD, REL = (x.flatten() for x in torch.meshgrid(torch.arange(NODES), torch.arange(2 * RELATIONS), indexing="ij"))


def graph(facts, nodes=NODES):
    head, relation, tail = torch.tensor(facts, dtype=torch.long).reshape(-1, 3).unbind(dim=-1)
    return Data(edge_index=torch.stack([head, tail]), edge_type=relation, num_nodes=nodes, num_relations=RELATIONS)


def scorer_of(facts, seed=0, **options):
    """With parameters that all matter."""
    scorer = PathScorer.from_data(graph(facts), **{**SHAPE, **options})
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in scorer.parameters():
            value.copy_(torch.randn(value.shape, generator=g))
    return scorer


def both_ways(facts):
    return {fact for h, r, t in facts for fact in ((h, r, t), (t, r + RELATIONS, h))}


@torch.no_grad()
def told(scorer, facts, head, rel, max_degree=200):
    """The evidence of one query, message by message."""
    facts = sorted(both_ways(facts))
    degree = [sum(h == node for h, _, _ in facts) for node in range(NODES)]
    query = scorer.query[rel]
    state = {head: query}
    for layer in scorer.steps:
        arriving = {node: [(node, 2 * RELATIONS)] for node in state}
        for u, p, v in facts:
            if u in state and (u == head or degree[u] <= max_degree):
                arriving.setdefault(v, []).append((u, p))
        new = {}
        for node, messages in arriving.items():
            total = torch.zeros(scorer.dim)
            for u, p in messages:
                vector = layer.relation[p]
                hidden = layer.source.weight @ state[u] + layer.kind.weight @ vector
                hidden = (hidden + layer.asked.weight @ query + layer.asked.bias).relu()
                weight = torch.sigmoid(layer.attention.weight @ hidden + layer.attention.bias)
                total += weight * (state[u] + vector)
            before = state.get(node, torch.zeros(scorer.dim))
            new[node] = scorer.update((layer.message.weight @ total).relu()[None], before[None])[0]
        state = new
    found = torch.zeros(NODES)
    for node, vector in state.items():
        found[node] = scorer.out(scorer.hidden(torch.cat([vector, query])).relu())
    for node in range(NODES):
        count = sum((r, t) == (rel, node) for _, r, t in facts)
        if count:
            found[node] += scorer.prior[rel, 0] * math.log(1 + count) + scorer.prior[rel, 1]
    return found


@settings(max_examples=20)
@given(FACTS, st.integers(1, 4))
def test_evidence_is_that_of_loops(facts, max_degree):
    scorer = scorer_of(facts, max_degree=max_degree)
    expected = torch.stack(
        [told(scorer, facts, h, r, max_degree) for h, r in zip(HEAD.tolist(), REL.tolist(), strict=True)]
    )
    torch.testing.assert_close(scorer.score_tails(HEAD, REL), expected, atol=1e-4, rtol=1e-4)
    some = torch.tensor([4, 0, 5])
    torch.testing.assert_close(scorer.score_tails(HEAD, REL, some), expected[:, some], atol=1e-4, rtol=1e-4)


@settings(max_examples=30)
@given(FACTS)
def test_a_fact_that_is_left_out_is_one_that_is_not_there(facts):
    """Of the one query that is asked about it; the graph of all others keeps it."""
    whole = scorer_of(facts)
    h, r, t = facts[0]
    without = scorer_of([fact for fact in facts if fact != facts[0]])
    for head, rel, tail in ((h, r, t), (t, r + RELATIONS, h)):
        asked = torch.tensor([head, 0]), torch.tensor([rel, 1])
        found = whole.evidence(*asked, left_out=torch.tensor([tail, -1])).detach()
        torch.testing.assert_close(found[:1], without.score_tails(asked[0][:1], asked[1][:1]), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found[1:], whole.score_tails(asked[0][1:], asked[1][1:]), atol=1e-4, rtol=1e-4)


@settings(max_examples=30)
@given(FACTS, st.permutations(range(NODES)))
def test_entities_have_no_names(facts, order):
    scorer = scorer_of(facts)
    other = scorer_of([(order[h], r, order[t]) for h, r, t in facts])
    place = torch.tensor(order)
    torch.testing.assert_close(
        other.score_tails(place[HEAD], REL)[:, place], scorer.score_tails(HEAD, REL), atol=1e-4, rtol=1e-4
    )


def test_what_is_not_reached_in_time_has_no_evidence():
    chain = [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 4)]
    found = scorer_of(chain, layers=2).score_tails(torch.tensor([0, 5]), torch.tensor([1, 1]))
    assert (found != 0).tolist() == [[True, True, True, False, False, False], [False] * 5 + [True]]


def test_hubs_are_entered_and_left_only_by_their_own_queries():
    star = [(0, 0, node) for node in range(1, 5)]
    found = scorer_of(star, layers=3, max_degree=3).score_tails(torch.tensor([1, 0]), torch.tensor([1, 1]))
    assert (found != 0).tolist() == [[True, True] + [False] * 4, [True] * 5 + [False]]


@pytest.mark.parametrize("weight", [0.5, torch.rand(NODES * 2 * RELATIONS, generator=torch.Generator().manual_seed(1))])
def test_queries_are_asked_a_few_at_a_time(monkeypatch, weight):
    facts = [(0, 0, 1), (0, 1, 2), (2, 0, 3), (1, 1, 3), (0, 0, 4), (4, 0, 5)]
    scorer, before = scorer_of(facts), torch.rand(len(HEAD), NODES, generator=torch.Generator().manual_seed(2))
    each = weight[:, None] if isinstance(weight, torch.Tensor) else weight
    expected = before + each * scorer.score_tails(HEAD, REL)
    for most in (1, 7, 1 << 11):
        monkeypatch.setattr(path_scorer, "MESSAGES", most)
        parts = scorer._parts(HEAD)
        assert [row for part in parts for row in range(len(HEAD))[part]] == list(range(len(HEAD)))
        assert (len(parts) > 1) == (most < 1 << 11)
        torch.testing.assert_close(scorer.add_to(before.clone(), HEAD, REL, weight=weight), expected)


def test_gradients_reach_every_parameter():
    scorer = scorer_of([(0, 0, 1), (2, 0, 1), (1, 1, 3), (0, 1, 3)])
    scorer.evidence(HEAD, REL).sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in scorer.parameters())


def test_counts_are_those_of_other_facts():
    scorer = scorer_of([(0, 0, 1), (2, 0, 1), (1, 1, 3), (0, 1, 3)])
    with torch.no_grad():
        scorer.out.weight.zero_()  # what paths tell
        scorer.out.bias.zero_()
    found = scorer.evidence(torch.tensor([0, 2, 3]), torch.tensor([0, 0, 3]), torch.tensor([1, -1, 1]))
    slope, offset = scorer.prior.T.tolist()
    expected = torch.zeros(3, NODES)
    expected[0, 1] = slope[0] * math.log(2) + offset[0]  # one of two is left out
    expected[1, 1] = slope[0] * math.log(3) + offset[0]
    expected[2, 0] = slope[3] * math.log(2) + offset[3]  # the only one with entity 1 is left out
    torch.testing.assert_close(found, expected)


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_gradients_have_the_same_bits_whoever_of_some_threads_is_first(four_threads):
    g = torch.Generator().manual_seed(3)
    nodes = 500
    facts = torch.stack([torch.randint(most, (4000,), generator=g) for most in (nodes, RELATIONS, nodes)], dim=1)
    scorer = PathScorer.from_data(graph(facts.tolist(), nodes), dim=16, layers=2)
    head, rel = torch.arange(nodes), torch.arange(nodes) % (2 * RELATIONS)

    def gradients():
        scorer.zero_grad()
        scorer.evidence(head, rel).square().sum().backward()
        return [value.grad.clone() for value in scorer.parameters()]

    first = gradients()
    for _ in range(2):
        assert all(map(torch.equal, first, gradients()))


def test_initial_values_are_its_own():
    state = torch.random.get_rng_state()
    one, two, other = (
        PathScorer(6, 2, generator=torch.Generator().manual_seed(seed), **SHAPE).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not torch.equal(one["query"], other["query"])
    assert not one["prior"].any()


def test_it_is_built_again_from_plain_values():
    scorer = scorer_of([(0, 0, 1), (1, 1, 2)], max_degree=7)
    rules = RuleScorer.from_data(graph([(0, 0, 1)]))
    both = GuidedScorer(GuidedScorer(a_scorer(), rules, 2.0), scorer, 0.5)
    again = make_guided_scorer(both.config())
    again.load_state_dict(both.state_dict())
    torch.testing.assert_close(again.score_tails(HEAD, REL), both.score_tails(HEAD, REL))
    assert again.guide.max_degree == 7
    assert repr(scorer) == "PathScorer(6, 2, facts=4, dim=5, layers=3)"


def a_scorer():
    return ComplEx(NODES, RELATIONS, rank=2)


def test_a_copy_is_another_one():
    scorer = scorer_of([(0, 0, 1)])
    other = copy.deepcopy(scorer)
    with torch.no_grad():
        other.query.add_(1)
    assert not torch.equal(scorer.query, other.query)


@pytest.mark.parametrize("name", ["dim", "layers", "attention_dim", "max_degree"])
def test_sizes_are_checked(name):
    with pytest.raises(ConfigError, match=f"{name}: expected a positive number, got 0"):
        PathScorer.from_data(graph([(0, 0, 1)]), **{name: 0})
