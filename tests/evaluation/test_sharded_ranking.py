import pytest
import torch

from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.errors import NonFiniteError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.evaluation.ranking import filtered_ranks
from torch_geometric_dsom.evaluation.sharded_ranking import sharded_ranks
from torch_geometric_dsom.nn import ComplEx, ShardedScorer


@pytest.mark.parametrize("size", [1, 2, 3])
def test_ranks_are_those_of_the_whole(together, size):
    g = torch.Generator().manual_seed(0)
    scores = torch.randint(6, (5, 9), generator=g).float()  # many ties
    row, target = torch.arange(5).repeat(2), torch.randint(9, (10,), generator=g)
    known = (torch.rand(5, 9, generator=g) < 0.3).nonzero().T
    expected = filtered_ranks(scores, target, tuple(known), row)

    def run(world):
        shard = Shard.of(9, world)
        return sharded_ranks(scores[:, shard.rows].clone(), target, tuple(known), row, shard)

    for found in together(size, run):
        assert torch.equal(found.optimistic, expected.optimistic)
        assert torch.equal(found.pessimistic, expected.pessimistic)


def test_evaluation_of_a_sharded_scorer(together, small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=0.3)
    expected = evaluate(model, small_graph)
    for found in together(2, lambda world: evaluate(ShardedScorer.cut_from(model, world), small_graph, batch_size=7)):
        assert torch.equal(found.ranks, expected.ranks)


def test_a_shared_evaluation_gives_everyone_all_ranks(together, small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=0.3)
    expected = evaluate(model, small_graph, batch_size=4)
    for found in together(3, lambda world: evaluate(model, small_graph, batch_size=4, world=world)):
        assert torch.equal(found.ranks, expected.ranks)
        assert torch.equal(found.direction, expected.direction)


def test_scores_that_are_not_finite_are_refused():
    none = torch.empty(0, dtype=torch.long)
    with pytest.raises(NonFiniteError):
        sharded_ranks(torch.tensor([[torch.nan]]), none, (none, none), none, Shard.of(1))
