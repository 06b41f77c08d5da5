import pytest
import torch

from torch_geometric_dsom.distributed import Shard, World
from torch_geometric_dsom.errors import ConfigError


@pytest.mark.parametrize(("number", "size"), [(7, 2), (7, 3), (4, 4), (1, 1)])
def test_shards_cover_a_table_as_those_of_dtensor_do(together, number, size):
    shards = together(size, lambda world: Shard.of(number, world))
    expected = torch.arange(number).chunk(size)
    for shard, rows in zip(shards, expected, strict=True):
        assert list(range(number))[shard.rows] == rows.tolist()
        assert (shard.size, shard.most) == (len(rows), len(expected[0]))
        mine, place = shard.local(torch.arange(number))
        assert mine.sum() == len(rows)
        assert torch.equal(rows[place[mine]], rows)


def test_nobody_goes_without_a_row(together):
    with pytest.raises(ConfigError, match="number: expected rows for each of 4 processes, got 5"):
        together(4, lambda world: Shard.of(5, world))


def test_look_up_and_back(together):
    table, index = torch.randn(7, 2), torch.tensor([6, 0, 3, 3])
    weight = torch.randn(4, 2)
    whole = table.clone().requires_grad_()
    (whole[index] * weight).sum().backward()

    def run(world):
        shard = Shard.of(7, world)
        part = table[shard.rows].clone().requires_grad_()
        mine, place = shard.local(index)
        found = shard.collect(part[place] * mine.unsqueeze(-1))
        assert torch.equal(found, table[index])
        (found * weight).sum().backward()
        assert torch.equal(shard.gather(part), table)
        return part.grad

    assert torch.equal(torch.cat(together(3, run)), whole.grad)


def test_gradients_of_what_is_spread_add_up(together):
    def run(world):
        x = torch.ones(2, requires_grad=True)
        (Shard.of(6, world).spread(x) * (world.rank + 1)).sum().backward()
        return x.grad.tolist()

    assert together(2, run) == [[3.0, 3.0]] * 2
    x = torch.ones(2)
    assert Shard.of(6).spread(x) is x


def test_a_dtensor_needs_processes():
    with pytest.raises(ConfigError, match="expected a process group"):
        Shard.of(3, World()).as_dtensor(torch.zeros(3, 2))
