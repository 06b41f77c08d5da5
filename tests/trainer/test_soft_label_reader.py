import pytest
import torch
from torch import nn

from torch_geometric_dsom.nn import ComplEx, TransE
from torch_geometric_dsom.sampler import Candidates
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache
from torch_geometric_dsom.trainer.soft_label_reader import SoftLabelReader

N, R, K = 7, 2, 3
HEAD, RELATION = torch.cartesian_prod(torch.arange(N), torch.arange(2 * R)).T


def frozen(seed):
    return ComplEx(N, R, rank=4, init_scale=1.0, generator=torch.Generator().manual_seed(seed)).freeze()


class Foreign(nn.Module):
    """A teacher that is no scorer of ours."""

    def score_tails(self, head, rel, candidates=None):
        scores = (head + 2 * rel).unsqueeze(-1) * torch.arange(N) / 10
        return scores if candidates is None else scores[:, candidates]


def make(folds=0, **options):
    translation = TransE(N, R, rank=4, generator=torch.Generator().manual_seed(5)).freeze()
    parts = [[frozen(10 * fold + k) for k in range(K)] for fold in range(folds)]
    return Ensemble([frozen(1), translation, Foreign()], torch.ones(N, K, dtype=torch.bool), parts, **options)


def in_pieces(reader, sizes):
    """All rows, read in pieces of these sizes, and how often teachers were asked."""
    asked, ask_each = [], reader.ensemble.ask_each
    reader.ensemble.ask_each = lambda head, *rest: asked.append(len(head)) or ask_each(head, *rest)
    found, start = [], 0
    for size in sizes:
        found.append(reader.read(slice(start, start + size)).clone())
        start += size
    reader.ensemble.ask_each = ask_each
    return torch.cat(found), asked


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("sizes", [[28], [10, 10, 8], [1] * 28])
@pytest.mark.parametrize("rows", [None, 28, 12, 1])
def test_pieces_are_the_distributions_whatever_was_asked_at_once(temperature, sizes, rows):
    ensemble = make()
    expected = [(t.score_tails(HEAD, RELATION) / temperature).softmax(-1) for t in ensemble.teachers]
    budget = None if rows is None else rows * K * 4 * N
    reader = SoftLabelReader(ensemble, HEAD, RELATION, temperature, workspace_bytes=budget)
    found, asked = in_pieces(reader, sizes)
    assert torch.allclose(found, torch.stack(expected, dim=1), atol=1e-6)
    assert sum(asked) >= 28
    if rows is not None:
        assert max(asked) <= max(rows, *sizes)
        assert len(asked) <= max(-(-28 // rows) + 1, len(sizes))


@pytest.mark.parametrize("budget", [0, 3, 20, 100])
@pytest.mark.parametrize("fold", [False, True])
def test_the_cache_saves_questions_and_changes_nothing(budget, fold):
    ensemble = make(folds=2 if fold else 0)
    folds = torch.arange(28) % 2 if fold else None
    plain, _ = in_pieces(SoftLabelReader(ensemble, HEAD, RELATION, 1.0, folds), [28])
    ensemble.cache = SoftLabelCache(ensemble.key(HEAD, RELATION, folds), K, N, max_bytes=budget * 2 * K * N)
    room = len(ensemble.cache.ready)
    some = torch.arange(0, 28, 3)  # these are stored first, so that pieces are mixed then
    few = None if folds is None else folds[some]
    in_pieces(SoftLabelReader(ensemble, HEAD[some], RELATION[some], 1.0, few), [4, 6])
    stored = int(ensemble.cache.ready.sum())
    for _ in range(2):
        found, asked = in_pieces(SoftLabelReader(ensemble, HEAD, RELATION, 1.0, folds), [5, 5, 5, 5, 8])
        assert torch.allclose(found, plain, rtol=1e-3, atol=1e-8)
        assert sum(asked) == 28 - stored
        stored = int(ensemble.cache.ready.sum())
        assert stored == min(room, 28)


def test_a_factor_is_told_where_it_was_left_in():
    ensemble = make()
    ensemble.cache = SoftLabelCache(ensemble.key(HEAD, RELATION), K, N, max_bytes=1 << 20)
    for expected in (1.0, 1024.0):
        prob, factor = SoftLabelReader(ensemble, HEAD, RELATION, 1.0).read_times(slice(0, 28))
        assert factor == expected
        assert torch.allclose(prob.sum(-1), torch.tensor(factor), rtol=1e-3)


def test_narrow_products_stay_narrow_until_they_are_softened():
    ensemble = make(dtype=torch.bfloat16)
    kinds = [part.dtype for part in ensemble.ask_each(HEAD, RELATION, None, "x")]
    assert kinds == [torch.bfloat16, torch.float32, torch.float32]  # no product, and not ours
    assert ensemble.bytes_per_score() == 10
    wide, _ = in_pieces(SoftLabelReader(make(), HEAD, RELATION, 1.0), [9, 9, 10])
    narrow, _ = in_pieces(SoftLabelReader(ensemble, HEAD, RELATION, 1.0), [9, 9, 10])
    assert torch.allclose(narrow, wide, atol=0.05)
    assert not torch.equal(narrow[:, 0], wide[:, 0])
    assert torch.equal(narrow[:, 2], wide[:, 2])


def test_some_candidates_are_weighed_and_never_cached():
    ensemble = make()
    ensemble.cache = SoftLabelCache(ensemble.key(HEAD, RELATION), K, N, max_bytes=1 << 20)
    some = Candidates(torch.tensor([1, 4, 6]), torch.tensor([0.0, 0.7, 0.7]))
    found, _ = in_pieces(SoftLabelReader(ensemble, HEAD, RELATION, 2.0, candidates=some), [20, 8])
    for k, teacher in enumerate(ensemble.teachers):
        logits = teacher.score_tails(HEAD, RELATION)[:, some.entity] / 2.0 + some.log_weight
        assert torch.allclose(found[:, k], logits.softmax(-1), atol=1e-6)
    assert not ensemble.cache.ready.any()
