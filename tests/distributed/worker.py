"""What each process of the tests does: one of the functions below, by name, with a folder and options as JSON."""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG
from torch_geometric_dsom.distributed import join

FIT = {"epochs": 3, "batch_size": 50, "evaluate_every": 3}  # neither two nor three divide it evenly everywhere
OPTIONS = {"rank": 6, "teacher_hidden": 8, "teacher_fit": FIT, "student_fit": FIT}
PATIENCE = timedelta(seconds=60)


def graph():
    """Small, with two modalities, one of which a third lacks."""
    truth = {"text": "informative", "image": "misleading"}
    return FakeMMKG(num_entities=150, num_relations=3, num_kinds=10, num_facts=200, truth=truth, missing=0.3)[0]


def train(options, **kwargs):
    """Trains, evaluates; everything that is to be alike everywhere."""
    data = graph()
    trainer = DSoMTrainer(seed=1, progress=False, **{**OPTIONS, **options}, **kwargs)
    trainer.fit(data)
    result = trainer.evaluate(data)
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in trainer.history]
    drawn = torch.rand(1, generator=trainer.agent.generator).item() if hasattr(trainer.agent, "generator") else 0.0
    return trainer, {"history": records, "ranks": result.ranks.tolist(), "drawn": drawn}


def variants(folder, options):
    """Several trainings, one after the other."""
    join(timeout=PATIENCE)
    for name, some in options.items():
        trainer, found = train(some)
        (folder / f"{name}.{trainer.world.size}.{trainer.world.rank}.json").write_text(json.dumps(found))


def kept(folder, options):
    """A training with checkpoints; one process is killed on the way where the options say so."""
    join(timeout=PATIENCE)
    kill = options.pop("kill", None)

    def on_epoch(record):
        if kill and (record["phase"], record["epoch"]) == ("student", 2) and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    data = graph()
    trainer = DSoMTrainer(seed=1, progress=False, checkpoint_dir=folder / "run", resume=True, **{**OPTIONS, **options})
    trainer.fit(data, on_epoch=on_epoch)
    result = trainer.evaluate(data)
    trainer.save(folder / "saved")
    if trainer.world.is_first:
        (folder / "kept.json").write_text(json.dumps({"mrr": result.mrr, "history": trainer.history}))


def wrapped(folder, options):
    """A loop of one's own, its model in DistributedDataParallel; every process takes its share of the batches."""
    import loop
    from torch.nn.parallel import DistributedDataParallel

    world = join(timeout=PATIENCE)
    inner, optimizer, batches = loop.setting((world.rank, world.size))
    model, losses = DistributedDataParallel(inner), []
    for batch, _ in zip(batches, range(4), strict=False):
        optimizer.zero_grad()
        loss = model(batch)
        loss.backward()
        optimizer.step()
        losses.append(world.sum_(loss.detach()).item() / world.size)
    if world.is_first:
        (folder / "wrapped.json").write_text(json.dumps([losses, inner.student.entity.tolist()]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](Path(sys.argv[2]), json.loads(sys.argv[3]))
    if dist.is_initialized():
        dist.destroy_process_group()
