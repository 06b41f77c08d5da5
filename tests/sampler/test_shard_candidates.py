import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.sampler import CandidateSampler, ShardCandidates


def test_each_process_draws_for_its_own_entities(together):
    required = torch.tensor([0, 7, 19, 7])

    def run(world):
        shard = Shard.of(20, world)
        some = ShardCandidates(shard).drawn(CandidateSampler(shard.size, 3), required)
        mine, column = some.columns(required)
        assert torch.equal(some.names(column[mine]), required[mine])
        assert not some.columns(torch.tensor([shard.stop % 20]))[0].any()
        return some.log_weight.exp().sum().item(), some.names(torch.arange(some.entity.numel())).tolist()

    found = together(2, run)
    assert [round(total, 4) for total, _ in found] == [10.0, 10.0]
    names = found[0][1] + found[1][1]
    assert {0, 7, 19} <= set(names)
    assert names == sorted(names)


def test_groups_by_column():
    groups = GroupRows(torch.tensor([0, 0, 1]), torch.tensor([4, 6, 7]), 2)
    some = ShardCandidates(Shard(4, 8, 12), torch.tensor([0, 3]), torch.zeros(2)).to("cpu")
    assert [x.tolist() for x in some.groups(groups)[:2]] == [[0, 1], [0, 1]]  # 6 is no candidate
    every = ShardCandidates(Shard(4, 8, 12))
    assert every.to("cpu") is every
    assert [x.tolist() for x in every.groups(groups)[:2]] == [[0, 0, 1], [0, 2, 3]]
    assert every.names(torch.tensor([1])).tolist() == [5]
    assert every.place(torch.tensor([11])).tolist() == [11]
