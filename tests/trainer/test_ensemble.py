import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.nn import ComplEx, FrequencyScorer, GuidedScorer, RuleScorer, TransE, product_of_experts
from torch_geometric_dsom.sampler import Candidates
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache

N, R, K = 7, 2, 3


def frozen(seed):
    return ComplEx(N, R, rank=4, init_scale=1.0, generator=torch.Generator().manual_seed(seed)).freeze()


class Foreign(nn.Module):
    """A teacher that is no scorer of ours."""

    def score_tails(self, head, rel, candidates=None):
        whole = (head + 2 * rel).unsqueeze(-1) * torch.arange(N) / 10
        return whole if candidates is None else whole[:, candidates]


def ensemble(folds=0, **options):
    translation = TransE(N, R, rank=4, generator=torch.Generator().manual_seed(5)).freeze()
    teachers = [frozen(1), translation, Foreign()]
    parts = [[frozen(10 * fold + k) for k in range(K)] for fold in range(folds)]
    return Ensemble(teachers, torch.ones(N, K, dtype=torch.bool), parts, **options)


HEAD, REL = torch.tensor([0, 6, 3, 3]), torch.tensor([0, 3, 1, 2])
ALL = torch.cartesian_prod(torch.arange(N), torch.arange(2 * R))


def plain(asked, head, relation, temperature):
    return torch.stack([(t.score_tails(head, relation) / temperature).softmax(dim=-1) for t in asked.teachers], dim=1)


@pytest.mark.parametrize("use", [None, "facts"])
def test_asks_scorers_of_all_kinds(use):
    asked = ensemble()
    logits = asked.ask(HEAD, REL, use=use)
    for k, teacher in enumerate(asked.teachers):
        assert torch.allclose(logits[:, k], teacher.score_tails(HEAD, REL), atol=1e-6)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_asks_a_scorer_and_its_rules(dtype):
    facts = torch.tensor([[0, 0, 1], [0, 1, 1], [2, 0, 3], [2, 1, 3], [6, 1, 5]])
    data = Data(edge_index=facts[:, [0, 2]].T, edge_type=facts[:, 1], num_nodes=N, num_relations=R)
    guided = GuidedScorer(frozen(1), RuleScorer.from_data(data, 1.0, 2), 2.0)
    asked = Ensemble([guided], torch.ones(N, 1, dtype=torch.bool), dtype=dtype)
    head, relation = torch.tensor([6, 0]), torch.tensor([0, 3])
    expected = guided.score_tails(head, relation)
    assert (expected - guided.scorer.score_tails(head, relation)).abs().max() > 1
    near = {"atol": 1e-6} if dtype is None else {"rtol": 0.02, "atol": 0.05}
    assert torch.allclose(asked.ask(head, relation)[:, 0], expected, **near)
    (narrow,) = asked.ask_each(head, relation, None, "facts")
    assert narrow.dtype == (torch.float32 if dtype is None else dtype)
    assert torch.allclose(narrow.float(), expected, **near)
    some = Candidates(torch.tensor([1, 5, 6]), torch.zeros(3))
    assert torch.allclose(asked.ask(head, relation, candidates=some)[:, 0], expected[:, [1, 5, 6]], **near)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("ruled", [False, True])
def test_a_product_of_those_that_are_asked_is_their_mean(dtype, ruled, monkeypatch):
    experts = [frozen(1), frozen(2)]
    fused = product_of_experts(experts)
    data = Data(edge_index=torch.tensor([[0, 0], [2, 4]]), edge_type=torch.tensor([0, 1]), num_nodes=N, num_relations=R)
    last = GuidedScorer(fused, RuleScorer.from_data(data, 1.0, 1), 2.0) if ruled else fused
    asked = Ensemble([last, *experts], torch.ones(N, 3, dtype=torch.bool), dtype=dtype)
    head, relation = torch.tensor([6, 0]), torch.tensor([0, 1])
    expected = torch.stack([teacher.score_tails(head, relation) for teacher in asked.teachers])
    monkeypatch.setattr(fused, "query", None)  # nobody multiplies by its table
    near = {"atol": 1e-5} if dtype is None else {"rtol": 0.02, "atol": 0.05}
    assert torch.allclose(asked.ask(head, relation).transpose(0, 1), expected, **near)
    each = asked.ask_each(head, relation, None, "facts")
    assert torch.allclose(torch.stack(each).float(), expected, **near)
    some = Candidates(torch.tensor([1, 2, 4]), torch.zeros(3))
    assert torch.allclose(asked.ask(head, relation, candidates=some).transpose(0, 1), expected[..., [1, 2, 4]], **near)


@pytest.mark.parametrize("copied", [False, True])
def test_a_guided_teacher_listens_to_the_one_that_it_guides(copied, monkeypatch):
    fused = product_of_experts([frozen(1), frozen(2)])
    data = Data(edge_index=torch.tensor([[0, 0], [2, 4]]), edge_type=torch.tensor([0, 1]), num_nodes=N, num_relations=R)
    inner = fused.freeze() if copied else fused
    guided = GuidedScorer(GuidedScorer(inner, RuleScorer.from_data(data, 1.0, 1), 2.0), FrequencyScorer.from_data(data))
    asked = Ensemble([guided, frozen(1), fused, frozen(2)], torch.ones(N, 4, dtype=torch.bool))
    head, relation = torch.tensor([6, 0]), torch.tensor([0, 1])
    expected = torch.stack([teacher.score_tails(head, relation) for teacher in asked.teachers], dim=1)
    for scorer in {inner, fused}:
        monkeypatch.setattr(scorer, "query", None)  # nobody multiplies by its table, nor by that of the mean of two
    assert torch.allclose(asked.ask(head, relation), expected, atol=1e-5)


def test_two_alike_are_no_means_of_one_another():
    asked = Ensemble([frozen(1), frozen(1)], torch.ones(N, 2, dtype=torch.bool))
    expected = torch.stack([teacher.score_tails(HEAD, REL) for teacher in asked.teachers], dim=1)
    assert torch.allclose(asked.ask(HEAD, REL), expected, atol=1e-6)


@pytest.mark.parametrize("folds", [0, 2])
@pytest.mark.parametrize("some", [None, [0, 2, 3, 5]])
def test_query_entities_are_no_answer_to_relations_that_relate_none_to_itself(folds, some):
    may = torch.tensor([True, False, True, False])
    fold = torch.tensor([1, 0, 0, 1]) if folds else None
    given = {} if some is None else {"candidates": Candidates(torch.tensor(some), torch.zeros(len(some)))}
    expected = ensemble(folds).ask(HEAD, REL, fold, **given)
    columns = list(range(N)) if some is None else some
    for row, (head, relation) in enumerate(zip(HEAD.tolist(), REL.tolist(), strict=True)):
        if not may[relation] and head in columns:
            expected[row, :, columns.index(head)] = -torch.inf
    assert 0 < expected.isinf().sum() <= 2 * K
    asked = ensemble(folds, reflexive=may)
    assert torch.equal(asked.ask(HEAD, REL, fold, **given), expected)
    assert torch.equal(torch.stack(asked.ask_each(HEAD, REL, fold, "facts", **given), dim=1), expected)
    prob = asked.soften(HEAD, REL, 2.0, fold, **given)
    assert torch.allclose(prob, (expected / 2.0).softmax(dim=-1), atol=1e-6)
    assert (prob[expected.isinf()] == 0).all()


def test_memory_is_used_again_only_under_the_same_name():
    asked = ensemble()
    first, second = asked.ask(HEAD, REL, use="a"), asked.ask(HEAD, REL, use="b")
    again, fresh = asked.ask(HEAD[:1], REL[:1], use="a"), asked.ask(HEAD, REL)
    assert again.data_ptr() == first.data_ptr()
    assert len({first.data_ptr(), second.data_ptr(), fresh.data_ptr()}) == 3


def test_folds_ask_who_did_not_see_the_fact():
    asked = ensemble(folds=2)
    fold = torch.tensor([1, 0, 0, 1])
    logits = asked.ask(HEAD, REL, fold)
    for i, number in enumerate(fold.tolist()):
        for k in range(K):
            expected = asked.fold_teachers[number][k].score_tails(HEAD[i : i + 1], REL[i : i + 1])[0]
            assert torch.allclose(logits[i, k], expected, atol=1e-5)


def test_bfloat16_products_are_close_and_no_more():
    exact, narrow = ensemble().ask(HEAD, REL), ensemble(dtype=torch.bfloat16).ask(HEAD, REL)
    assert not torch.equal(exact[:, 0], narrow[:, 0])
    assert torch.allclose(exact[:, 0], narrow[:, 0], rtol=0.05, atol=0.1)
    assert torch.equal(exact[:, 2], narrow[:, 2])  # a foreign teacher is asked as it is


@pytest.mark.parametrize("budget", [0, 5, 100])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_cache_changes_nothing(budget, temperature):
    asked = ensemble()
    keys = asked.key(*ALL.T)
    asked.cache = SoftLabelCache(keys, K, N, max_bytes=budget * 2 * K * N)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):  # empty, partly filled, full
        head, relation = ALL[torch.randint(len(ALL), (6,), generator=generator).unique()].T
        prob = asked.soften(head, relation, temperature)
        assert torch.allclose(prob, plain(asked, head, relation, temperature), rtol=1e-3, atol=1e-9)
    assert int(asked.cache.ready.sum()) <= budget
    assert bool(asked.cache.ready.any()) == (budget > 0)


def test_cache_saves_the_questions():
    asked = ensemble()
    asked.cache = SoftLabelCache(asked.key(HEAD, REL), K, N, max_bytes=1 << 20)
    expected = asked.soften(HEAD, REL, 1.0).clone()
    asked.teachers = [None] * K  # from here on nobody can be asked
    assert torch.allclose(asked.soften(HEAD.flip(0), REL.flip(0), 1.0), expected.flip(0), rtol=1e-3, atol=1e-9)


def test_cache_tells_folds_apart():
    asked = ensemble(folds=2)
    zero, one = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    asked.cache = SoftLabelCache(
        torch.cat([asked.key(HEAD, REL, fold) for fold in (zero, one)]), K, N, max_bytes=1 << 20
    )
    found = [asked.soften(HEAD, REL, 1.0, fold).clone() for fold in (zero, one, zero, one)]
    assert not torch.allclose(found[0], found[1])
    for first, second in ((0, 2), (1, 3)):
        assert torch.allclose(found[first], found[second], rtol=1e-3, atol=1e-9)


def test_keys_are_unique():
    asked = ensemble(folds=2)
    keys = torch.cat([asked.key(*ALL.T, torch.full((len(ALL),), fold)) for fold in range(2)])
    assert keys.unique().numel() == 2 * len(ALL)


def test_favourites_listen_to_available_teachers_only():
    logits = torch.tensor([[[5.0, 0.0, 0.0], [0.0, 9.0, 0.0]]] * 2)
    ensemble = Ensemble([], torch.tensor([[True, False], [False, True]]))
    assert ensemble.favourites(logits.softmax(-1), torch.tensor([0, 1])).tolist() == [0, 1]
