import pytest
import torch

from torch_geometric_dsom.sampler import EndlessBatches, QuerySampler

FACTS = torch.tensor([[h, r, (h * 3 + r) % 7] for h in range(7) for r in range(2)])


def make():
    return EndlessBatches(QuerySampler(FACTS, 2, batch_size=9, generator=torch.Generator().manual_seed(5)))


def test_passes_follow_each_other_in_new_orders():
    batches = make()
    per_pass = len(batches.sampler)
    passes = [torch.cat([next(batches).fact for _ in range(per_pass)]) for _ in range(3)]
    assert all(torch.equal(part.sort().values, torch.arange(28)) for part in passes)
    assert not torch.equal(passes[0], passes[1])
    straight = make().sampler
    assert torch.equal(torch.cat([batch.fact for batch in straight]), passes[0])


@pytest.mark.parametrize("done", [0, 1, 3, 4, 7])
def test_goes_on_where_it_was(done):
    batches = make()
    for _ in range(done):
        next(batches)
    state, again = batches.state_dict(), make()
    next(again)
    again.load_state_dict(state)
    for _ in range(9):
        assert torch.equal(next(batches).fact, next(again).fact)
