"""A graph of 1,000,000 entities and 5,000,000 facts on one small machine: a slice of every phase, then 1,000 queries.

    python benchmarks/distributed/million.py            # writes million.json beside this file
    python benchmarks/distributed/million.py --entities 20000 --facts 100000   # a quick look, writes nothing
    torchrun --nproc-per-node 2 benchmarks/distributed/million.py              # the entities dealt out over processes

Facts lead from kind to kind, features (half floats, in a file that is mapped into memory) tell the kind with noise: the
graph can be learned. Softmaxes are over candidates, what teachers think of facts is told from these; evaluation is
exact, over all entities.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import map_features
from torch_geometric_dsom.distributed import join
from torch_geometric_dsom.sampler import QuerySampler

HERE = Path(__file__).parent
SIZE = 1_000_000, 5_000_000
KINDS, RELATIONS, DIM, RANK = 1000, 50, 128, 32
HELD_OUT = 500  # facts of validation and of test, each asked from both sides


def make_features(path: Path, entities: int) -> None:
    """Noisy prototypes of the kinds, written some rows at a time."""
    rng = np.random.default_rng(0)
    prototypes = rng.standard_normal((KINDS, DIM)).astype(np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(entities, DIM))
    for start in range(0, entities, 1 << 16):
        rows = np.arange(start, min(start + (1 << 16), entities))
        out[rows] = prototypes[rows % KINDS] + rng.standard_normal((len(rows), DIM)).astype(np.float32)
    out.flush()


def make_graph(features: Path, entities: int, facts: int) -> Data:
    """Facts ``(h, r, t)`` with the kind of ``t`` the kind of ``h`` plus that of ``r``."""
    g = torch.Generator().manual_seed(0)

    def draw(number: int) -> tuple[Tensor, Tensor]:
        head, kind = torch.randint(entities, (number,), generator=g), torch.randint(RELATIONS, (number,), generator=g)
        same = torch.randint(entities // KINDS, (number,), generator=g) * KINDS
        return torch.stack([head, same + (head + 1 + kind) % KINDS]), kind

    data = Data(num_nodes=entities)
    data.num_relations = RELATIONS
    for prefix, number in (("", facts), ("val_", HELD_OUT), ("test_", HELD_OUT)):
        data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = draw(number)
    data.x_text, data.text_mask = map_features(features), torch.ones(entities, dtype=torch.bool)
    return data


class Slice(QuerySampler):
    """The first batches of an epoch."""

    batches = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        for number, batch in enumerate(super().__iter__(), start=1):
            yield batch
            if number == self.batches:
                return


class SliceTrainer(DSoMTrainer):
    """Trains on so many batches of an epoch."""

    def _sampler(self, data: Data, config, name: str, folds=None) -> Slice:  # type: ignore[no-untyped-def]
        found = super()._sampler(data, config, name, folds)
        found.__class__ = Slice
        return found  # type: ignore[return-value]


def peak_bytes() -> int:
    """The most memory that this process had so far, pages of mapped files among it."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entities", type=int, default=SIZE[0])
    parser.add_argument("--facts", type=int, default=SIZE[1])
    parser.add_argument("--batches", type=int, default=100, help="of every phase")
    arguments = parser.parse_args()
    Slice.batches = arguments.batches
    world = join()
    fit = {"epochs": 1, "batch_size": 512, "evaluate_every": 1 << 20}
    options = {
        "rank": RANK, "teacher_hidden": 128, "student_fit": fit, "teacher_fit": fit, "features": "mapped",
        "candidates": "sampled", "signals": "candidates", "num_candidates": 8192, "cache": "none",
    }  # fmt: skip
    seconds: dict[str, float] = {}
    start = time.perf_counter()

    def lap(name: str) -> None:
        seconds[name] = round(time.perf_counter() - start - sum(seconds.values()), 1)
        if world.is_first:
            print(f"{name:<10} {seconds[name]:8.1f} s   {peak_bytes() / 2**30:6.2f} GiB at most", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(world.gather_objects(folder)[0], "text.npy")
        if world.is_first:
            make_features(path, arguments.entities)
        world.barrier()
        data = make_graph(path, arguments.entities, arguments.facts)
        lap("graph")
        trainer = SliceTrainer(seed=0, progress=False, **options)
        trainer.fit_teachers(data)
        lap("teachers")
        trainer.fit_student(data)
        lap("student")
        result = trainer.evaluate(data)
        lap("evaluation")
        peaks = world.gather_objects(peak_bytes())
        losses = {record["phase"]: record["loss"] for record in trainer.history}
        found = {
            "entities": arguments.entities, "facts": arguments.facts, "batches": arguments.batches,
            "processes": world.size, "shared_by": trainer.team.by if world.size > 1 else "none", "options": options,
            "feature_bytes": path.stat().st_size, "seconds": seconds, "peak_bytes": peaks, "losses": losses,
            "queries": result.count, "mrr": result.mrr, "chance_mean_rank": arguments.entities / 2,
            "mean_rank": result.mean_rank, "threads": torch.get_num_threads(), "commit": commit(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }  # fmt: skip
        world.barrier()
    if world.is_first:
        print(json.dumps(found, indent=1))
        if (arguments.entities, arguments.facts) == SIZE:
            name = "million.json" if world.size == 1 else f"million-{world.size}.json"
            (HERE / name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
