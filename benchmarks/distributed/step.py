"""Times training steps in turns, one process, shared batches and dealt out entities; started by run.py with torchrun.

Each process has one thread. While one process works alone, the others wait.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import time
from contextlib import nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.distributed import World, join
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.trainer.deal import deal
from torch_geometric_dsom.trainer.fit import Fit
from torch_geometric_dsom.trainer.team import SOLO, Team

RANK, TEACHERS, QUERIES = 50, 3, 128
MODES = ("one", "data", "entity")


class CountingWorld(World):
    """Counts messages and their bytes."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        super().__init__(group)
        self.messages, self.bytes = 0, 0

    def _count(self, value: Tensor) -> None:
        self.messages += 1
        self.bytes += value.numel() * value.element_size()

    def _reduce(self, value: Tensor, operation: object) -> Tensor:
        self._count(value)
        return super()._reduce(value, operation)

    def stack(self, value: Tensor) -> Tensor:
        self._count(value)
        return super().stack(value)


class Clock:
    """A keeper that notes when batches are done."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.work: list[float] = []

    def begin(self, fit: Fit) -> None:
        self.times, self.work = [time.perf_counter()], [time.process_time()]

    def batch_done(self, fit: Fit) -> None:
        self.times.append(time.perf_counter())
        self.work.append(time.process_time())

    def epoch_done(self, fit: Fit) -> None:
        fit.over = True

    def validation(self, fit: Fit) -> nullcontext[None]:
        return nullcontext()

    def hint(self) -> str:
        return ""


def graph(entities: int) -> Data:
    """Facts by lot; only their number and that of the entities matter to a step."""
    g = torch.Generator().manual_seed(0)

    def draw(number: int, size: int) -> Tensor:
        return torch.randint(size, (number,), generator=g)

    data = Data(num_nodes=entities)
    data.num_relations = 20
    facts = min(1024, max(256, 40_960_000 // entities))  # so many steps an epoch that a turn does not take too long
    for prefix, number in (("", facts), ("val_", 128)):
        data[f"{prefix}edge_index"] = torch.stack([draw(number, entities), draw(number, entities)])
        data[f"{prefix}edge_type"] = draw(number, 20)
    return data


class Contender:
    """One way to train, ready to do steps."""

    def __init__(self, data: Data, team: Team) -> None:
        entities = int(data.num_nodes)
        g = torch.Generator().manual_seed(1)
        teachers = {f"teacher{k}": ComplEx(entities, 20, RANK, init_scale=0.3, generator=g) for k in range(TEACHERS)}
        fit = {"batch_size": QUERIES, "epochs": 1 << 20}
        trainer = DSoMTrainer(
            seed=0, rank=RANK, teachers=teachers, cache="none", student_fit=fit, distributed="none", progress=False
        )
        trainer.team = team
        student = deal(ComplEx(entities, 20, RANK, generator=g), team)
        self.team, self.student = team, student
        self.objective = trainer._objective(data, student, trainer.config.student_fit)
        trainer.teachers.clear()  # the whole ones may go
        self.clock = Clock()
        config = trainer.config.student_fit
        parts = student, self.objective.sampler, self.objective, config, None, "student", False, None, self.clock, team
        self.fit = Fit(*parts)

    def steps(self) -> list[tuple[float, float]]:
        """Seconds of the steps of an epoch, on the wall and of this process's work."""
        self.fit.over = False
        self.fit.run()
        wall, work = ([b - a for a, b in itertools.pairwise(x)] for x in (self.clock.times, self.clock.work))
        return list(zip(wall, work, strict=True))[1:]


def turns(world: CountingWorld, sizes: list[int], rounds: int) -> list[dict[str, object]]:
    """Medians of all ways at all sizes, in turns."""
    found = []
    for size in sizes:
        data = graph(size)
        times: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
        traffic: dict[str, tuple[float, float]] = {}
        contenders = {}
        for mode in MODES:
            if mode != "one" or world.is_first:
                contenders[mode] = Contender(data, SOLO if mode == "one" else Team(world, mode))
        world.barrier()
        for _ in range(rounds):
            for mode in MODES:
                world.messages = world.bytes = 0
                if mode in contenders:
                    done = contenders[mode].steps()
                    times[mode] += done
                    each = len(done) + 1
                    traffic[mode] = world.messages / each, world.bytes / each
                world.barrier()
        if world.is_first:
            for mode in MODES:
                row = {"entities": size, "processes": 1 if mode == "one" else world.size, "mode": mode}
                messages, sent = traffic[mode] if mode != "one" else (0.0, 0.0)
                wall, work = zip(*times[mode], strict=True)
                row |= {"seconds": statistics.median(wall), "work": statistics.median(work), "steps": len(wall)}
                found.append(row | {"messages": messages, "bytes": sent})
                print(row, flush=True)
        del contenders
    return found


def messages(world: World) -> list[dict[str, float]]:
    """Seconds of a sum over the processes, by size."""
    found = []
    for number in (1, 1 << 10, 1 << 14, 1 << 18, 1 << 20):
        value, times = torch.zeros(number), []
        for _ in range(30):
            world.barrier()
            start = time.perf_counter()
            world.sum_(value)
            times.append(time.perf_counter() - start)
        found.append({"bytes": 4.0 * number, "seconds": statistics.median(times), "processes": world.size})
    return found


def memory(world: World, size: int, mode: str) -> dict[str, object]:
    """What the largest process had in memory at most, beyond the imports."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contender = Contender(graph(size), Team(world, mode) if world.size > 1 else SOLO)
    built = rss()
    contender.steps()
    steady = max(world.gather_objects(rss()))
    peak = max(world.gather_objects(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    row = {"entities": size, "processes": world.size, "mode": mode, "built_bytes": built, "held_bytes": steady}
    return row | {"peak_bytes": 1024 * peak, "imports_bytes": 1024 * before}


def rss() -> int:
    """Resident memory now, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["turns", "memory"])
    parser.add_argument("out")
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", default="entity")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    world = join(timeout=timedelta(minutes=5))
    if arguments.what == "turns":
        assert world.group is not None
        world = CountingWorld(world.group)
        result: object = {"steps": turns(world, arguments.sizes, arguments.rounds), "messages": messages(world)}
    else:
        result = memory(world, arguments.sizes[0], arguments.mode)
    if world.is_first:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(result, file)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
