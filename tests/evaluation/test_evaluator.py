import pytest
import torch
from tables import Table
from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import ConfigError, DataError, NonFiniteError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ComplEx

N, R = 30, 3


def random_graph(seed=0, sizes=(120, 40, 60)):
    g = torch.Generator().manual_seed(seed)
    data = Data(num_nodes=N, num_relations=R)
    for prefix, size in zip(("", "val_", "test_"), sizes, strict=True):
        data[f"{prefix}edge_index"] = torch.randint(N, (2, size), generator=g)
        data[f"{prefix}edge_type"] = torch.randint(R, (size,), generator=g)
    return data


def tied_scores(seed=0):
    return torch.randint(-4, 5, (N, 2 * R, N), generator=torch.Generator().manual_seed(seed)).float()


def facts(data, split):
    prefix = {"train": "", "val": "val_", "test": "test_"}[split]
    head, tail = data[f"{prefix}edge_index"].tolist()
    return list(zip(head, data[f"{prefix}edge_type"].tolist(), tail, strict=True))


def ranks_by_loop(scores, data, split="test", splits=("train", "val", "test")):
    """Realistic ranks, tails first, entity by entity, from sets of facts."""
    known = {fact for name in splits for fact in facts(data, name)}
    ranks = []
    for h, r, t in facts(data, split):
        better = [scores[h, r, e] > scores[h, r, t] for e in range(N) if e != t and (h, r, e) not in known]
        equal = [scores[h, r, e] == scores[h, r, t] for e in range(N) if e != t and (h, r, e) not in known]
        ranks.append(1 + sum(better) + sum(equal) / 2)
    for h, r, t in facts(data, split):
        row = scores[t, r + R]
        others = [e for e in range(N) if e != h and (e, r, t) not in known]
        ranks.append(1 + sum(row[e] > row[h] for e in others) + sum(row[e] == row[h] for e in others) / 2)
    return ranks


def small():
    """Three entities, (0, 0, 1) known, (0, 0, 2) asked for."""
    return Data(
        edge_index=torch.tensor([[0], [1]]),
        edge_type=torch.tensor([0]),
        test_edge_index=torch.tensor([[0], [2]]),
        test_edge_type=torch.tensor([0]),
        num_nodes=3,
        num_relations=1,
    )


def test_by_hand():
    scores = torch.zeros(3, 2, 3)
    scores[0, 0] = torch.tensor([1.0, 9.0, 1.0])  # 1 is known and left out, 0 ties with the target 2
    scores[2, 1] = torch.tensor([1.0, 9.0, 0.0])  # asked for the head 0: only 1 is above
    result = evaluate(Table(scores), small())
    assert result.tail.ranks.tolist() == [1.5]
    assert result.head.ranks.tolist() == [2.0]
    assert result.mrr == pytest.approx((1 / 1.5 + 1 / 2) / 2)
    assert evaluate(Table(scores), small(), ties="optimistic").ranks.tolist() == [1.0, 2.0]
    assert evaluate(Table(scores), small(), ties="pessimistic").ranks.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_loop(split, seed):
    data, scores = random_graph(seed), tied_scores(seed)
    assert evaluate(Table(scores), data, split).ranks.tolist() == ranks_by_loop(scores.numpy(), data, split)


def test_equals_a_loop_when_test_facts_stay_unknown():
    data, scores = random_graph(), tied_scores()
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    expected = ranks_by_loop(scores.numpy(), data, "test", ("train", "val"))
    assert evaluate(Table(scores), data, known=known).ranks.tolist() == expected


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64, 10_000])
def test_batch_size_changes_nothing(batch_size):
    data, scores = random_graph(), tied_scores()
    assert torch.equal(evaluate(Table(scores), data, batch_size=batch_size).ranks, evaluate(Table(scores), data).ranks)
    model = ComplEx(N, R, rank=8, init_scale=1.0).double()
    assert torch.equal(evaluate(model, data, batch_size=batch_size).ranks, evaluate(model, data).ranks)


def test_each_query_is_scored_once():
    data, table = random_graph(sizes=(5, 5, 300)), Table(tied_scores())
    evaluate(table, data, batch_size=16)
    asked = {(h, r) for h, r, _ in facts(data, "test")} | {(t, r + R) for _, r, t in facts(data, "test")}
    table.asked = table.asked[4:]  # the first four are asked twice: they tell the type of the scores
    assert sorted(table.asked) == sorted(asked)


def test_grouped_equals_fact_by_fact():
    data, scores = random_graph(), tied_scores()
    known, whole = KnownAnswers.from_data(data), evaluate(Table(scores), data)
    single = []
    for direction in ("tail", "head"):
        for fact in range(data.test_edge_type.numel()):
            one = data.clone()
            one.test_edge_index, one.test_edge_type = data.test_edge_index[:, [fact]], data.test_edge_type[[fact]]
            single.append(evaluate(Table(scores), one, known=known, directions=[direction]).ranks)
    assert torch.equal(whole.ranks, torch.cat(single))


def test_product_equals_score_tails():
    data, model = random_graph(), ComplEx(N, R, rank=8, init_scale=1.0).double()

    class Plain:
        def score_tails(self, head, rel, candidates=None):
            return model.score_tails(head, rel)

    assert torch.equal(evaluate(model, data, batch_size=5).ranks, evaluate(Plain(), data, batch_size=9).ranks)


def test_directions():
    data, table = random_graph(), Table(tied_scores())
    both = evaluate(table, data)
    tail, head = evaluate(table, data, directions=["tail"]), evaluate(table, data, directions="head")
    assert tail.head is None
    assert head.tail is None
    assert torch.equal(both.ranks, torch.cat([tail.ranks, head.ranks]))


def test_ranks_are_plain_tensors():
    ranks = evaluate(Table(tied_scores()), random_graph()).ranks
    assert not ranks.is_inference()
    assert ranks.device.type == "cpu"


def test_module_modes_and_scores_are_left_as_they_were():
    data, scores = random_graph(), tied_scores()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.free, self.frozen = nn.Dropout(0.5), nn.Dropout(0.5).eval()
            self.register_buffer("scores", scores.clone())

        def score_tails(self, head, rel, candidates=None):
            assert not self.free.training
            return self.free(self.scores[head, rel])

    net = Net()
    assert torch.equal(evaluate(net, data).ranks, evaluate(Table(scores), data).ranks)
    assert [net.training, net.free.training, net.frozen.training] == [True, True, False]
    assert torch.equal(net.scores, scores)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_scores_are_refused(value):
    scores = tied_scores()
    scores[int(random_graph().test_edge_index[0, 0]), int(random_graph().test_edge_type[0]), 3] = value
    with pytest.raises(NonFiniteError, match="scores: 1 of"):
        evaluate(Table(scores), random_graph())
    model = ComplEx(N, R, rank=4)
    model.entity.data[2] = value
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        evaluate(model, random_graph())


def test_wrong_shape_names_both_shapes():
    with pytest.raises(DataError, match=r"expected real scores of shape \[\d+, 30\], got \[\d+, 29\]"):
        evaluate(Table(tied_scores()[..., 1:]), random_graph())


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"ties": "mean"}, ConfigError, "ties: .*got 'mean'"),
        ({"directions": ()}, ConfigError, "directions"),
        ({"directions": ("tail", "tail")}, ConfigError, "directions: .*each once"),
        ({"directions": "both"}, ConfigError, "directions: .*got .*both"),
        ({"batch_size": 0}, ConfigError, "batch_size: expected a positive number, got 0"),
        ({"split": "tset"}, ConfigError, "did you mean 'test'"),
        ({"known": KnownAnswers(torch.tensor([[0, 0, 1]]), 4, R)}, DataError, "known: expected 30 entities .*got 4"),
    ],
)
def test_unsound_arguments_are_refused(kwargs, error, message):
    with pytest.raises(error, match=message):
        evaluate(Table(tied_scores()), random_graph(), **kwargs)


def test_unsound_graphs_are_refused():
    data = random_graph()
    del data.test_edge_index, data.test_edge_type
    with pytest.raises(DataError, match="split: .*'test'"):
        evaluate(Table(tied_scores()), data)
    data = random_graph()
    data.test_edge_type = data.test_edge_type + R
    with pytest.raises(DataError, match="split 'test': expected each relation"):
        evaluate(Table(tied_scores()), data, known=KnownAnswers.from_data(random_graph()))
    del data.num_relations
    with pytest.raises(DataError, match=r"data\.num_relations"):
        evaluate(Table(tied_scores()), data)
