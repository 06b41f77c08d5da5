import os
import subprocess
import sys

import pytest
import torch

from torch_geometric_dsom.distributed import ALONE, World, join, launched, share_of
from torch_geometric_dsom.errors import WorkerError


def test_shares_are_runs_that_cover_everything():
    for number in (0, 1, 5, 12):
        for size in (1, 2, 3, 7):
            parts = [share_of(number, rank, size) for rank in range(size)]
            assert [x for part in parts for x in range(number)[part]] == list(range(number))
            lengths = [part.stop - part.start for part in parts]
            assert max(lengths) - min(lengths) <= 1


def test_alone_everything_is_what_it_was():
    x = torch.tensor([3.0, -1.0])
    assert ALONE.sum_(x) is x
    assert ALONE.max_(x) is x
    assert torch.equal(ALONE.stack(x), x.unsqueeze(0))
    assert ALONE.gather(x) is x
    assert ALONE.gather_objects("a") == ["a"]
    assert (ALONE.total(4), ALONE.agree(None), ALONE.agree(15), ALONE.is_first) == (4, None, 15, True)
    ALONE.sum_all_([x])
    ALONE.barrier()
    assert x.tolist() == [3.0, -1.0]


@pytest.mark.parametrize("size", [2, 3])
def test_what_processes_tell_each_other(together, size):
    def talk(world):
        rank = float(world.rank)
        large, small = torch.full((1 << 18,), rank), torch.tensor([[rank], [1.0]])
        world.sum_all_([large, small])
        return {
            "sum": world.sum_(torch.tensor([1.0, rank])).tolist(),
            "strided": world.sum_(torch.arange(4.0).view(2, 2).T).tolist(),
            "max": world.max_(torch.tensor([rank, -rank])).tolist(),
            "large": large.unique().tolist(),
            "small": small.flatten().tolist(),
            "gather": world.gather(torch.arange(world.rank + 1)).tolist(),
            "bools": world.gather(torch.tensor([world.rank == 1])).tolist(),
            "total": world.total(world.rank),
            "agree": (world.agree(15 if world.rank == 1 else None), world.agree(None)),
            "share": world.share(4),
        }

    found = together(size, talk)
    ranks = list(range(size))
    for rank, one in enumerate(found):
        assert one["sum"] == [size, sum(ranks)]
        assert one["strided"] == [[0, 2 * size], [size, 3 * size]]
        assert one["max"] == [size - 1, 0]
        assert one["large"] == [sum(ranks)]
        assert one["small"] == [sum(ranks), size]
        assert one["gather"] == [x for r in ranks for x in range(r + 1)]
        assert one["bools"] == [r == 1 for r in ranks]
        assert one["total"] == sum(ranks)
        assert one["agree"] == (15, None)
        assert one["share"] == share_of(4, rank, size)


def test_whoever_is_started_alone_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert not launched()
    assert join() is ALONE
    monkeypatch.setenv("RANK", "0")  # a stray variable is no launcher
    assert not launched()


def test_a_message_that_does_not_come_through_is_an_error_that_says_so():
    world = World()
    expected = "rank 0 of 1: expected an answer of every process.*Connection closed"
    with pytest.raises(WorkerError, match=expected), world._told():
        raise RuntimeError("Connection closed by peer [127.0.0.1]\nmore")


def test_torch_distributed_is_set_up_from_the_environment():
    """One process under the variables of torchrun: a group is made, and it is alone in it."""
    code = """
import torch.distributed as dist
from torch_geometric_dsom.distributed import join
print(join(), dist.get_backend(), join())
dist.destroy_process_group()
"""
    env = {**os.environ, "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["World(rank=0,", "size=1)", "gloo", "World(rank=0,", "size=1)"], done.stderr
