"""A small run in a process of its own, which may be killed at any moment that can be counted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import runpy
import shutil
import signal
from collections import Counter
from pathlib import Path

GROUPS = ("teacher", "cache", "student", "evaluation", "write")
SIZES = {"num_entities": 60, "num_relations": 2, "num_kinds": 6, "num_facts": 240}
FIT = {"epochs": 3, "batch_size": 64, "evaluate_every": 1}
STUDENT = {**FIT, "workspace_bytes": 1 << 16}  # small parts: the cache is filled in many steps
OPTIONS = {"rank": 4, "teacher_hidden": 8, "student_dropout": 0.2, "student_fit": STUDENT, "teacher_fit": FIT}
SEED = 5


def moments(counts: dict[str, int], each: int, seed: int) -> list[tuple[str, int]]:
    """So many moments of each group, drawn over the whole run.

    Args:
        counts (dict[str, int]): How many there are of each, from a run that was not killed.
        each (int): How many to draw of each.
        seed (int): Of the draw.
    """
    draw = random.Random(seed)
    return [(group, number) for group in GROUPS for number in sorted(draw.sample(range(1, counts[group] + 1), each))]


def start(folder: Path, moment: tuple[str, int] | None = None) -> tuple[int, dict | None]:
    """Runs, or goes on with, the run in a folder, in a new process; returns its exit code and what it found.

    Args:
        folder (Path): Where the run is kept.
        moment (tuple[str, int], optional): When to kill it.
    """
    result = folder.with_suffix(".json")
    result.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch_geometric_dsom", "torch_geometric_dsom.datasets"])
    job = {"folder": str(folder), "result": str(result), "moment": moment}
    process = context.Process(
        target=runpy.run_path, args=(__file__,), kwargs={"init_globals": {"JOB": job}, "run_name": "__job__"}
    )
    process.start()
    process.join()
    return process.exitcode, json.loads(result.read_text()) if result.is_file() else None


def killed_and_resumed(folder: Path, moment: tuple[str, int], whole: dict) -> None:
    """Kills a new run at a moment, looks at what is left, goes on, and compares with a run that was not killed."""
    from torch_geometric_dsom.trainer.storage import load_directory

    code, found = start(folder, moment)
    assert (code, found) == (-signal.SIGKILL, None), (moment, code, found)
    log = folder.with_suffix(".log")
    published = [line.split("\t") for line in log.read_text().splitlines()] if log.is_file() else []
    finished = {phase for what, phase in published if what == "phases"}
    for what, phase in published:
        if what == "checkpoints" and phase in finished:
            continue  # they went when it was finished
        places = [folder / "phases" / phase] if what == "phases" else sorted((folder / what / phase).iterdir())
        whole_ones = [place for place in places if (place / "manifest.json").is_file()]
        if what == "checkpoints" and not whole_ones:  # killed while a phase was being finished
            whole_ones = [folder / "phases" / phase]
        load_directory(whole_ones[-1])
    code, found = start(folder)
    assert code == 0, (moment, code)
    assert found is not None
    for part in ("weights", "metrics", "history"):
        assert found[part] == whole[part], (moment, part)
    assert not any(folder.glob("checkpoints/*/*")), "checkpoints of finished phases are left"


def run(folder: str, result: str, moment: tuple[str, int] | None) -> None:
    """The process: trains, and tells weights, metrics and how often each kind of moment came."""
    import torch

    torch.set_num_threads(1)
    from torch_geometric_dsom import DSoMTrainer
    from torch_geometric_dsom.datasets import FakeMMKG
    from torch_geometric_dsom.trainer.identity import tensor_sum

    counts: Counter[str] = Counter()
    log = open(Path(folder).with_suffix(".log"), "a", buffering=1)  # noqa: SIM115
    _watch(counts, moment, log)
    data = FakeMMKG(seed=0, **SIZES)[0]
    trainer = DSoMTrainer(seed=SEED, progress=False, **OPTIONS)
    trainer.fit(data, checkpoint_dir=folder, resume=True)
    parts = {"student": trainer.student, "agent": trainer.agent, **trainer.teachers}
    found = {
        "weights": {name: tensor_sum(part.state_dict()) for name, part in parts.items()},
        "metrics": trainer.evaluate(data).to_dict(),
        "history": [{k: v for k, v in record.items() if k != "seconds"} for record in trainer.history],
        "counts": dict(counts),
    }
    Path(result).write_text(json.dumps(found))


def _watch(counts: Counter, moment: tuple[str, int] | None, log) -> None:
    """Counts moments, and ends the process without a word when the one that was asked for comes."""
    from torch_geometric_dsom.evaluation import evaluator
    from torch_geometric_dsom.trainer import run_directory, storage
    from torch_geometric_dsom.trainer.finite_guard import FiniteGuard
    from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache

    def hit(group: str) -> None:
        counts[group] += 1
        if moment is not None and (group, counts[group]) == tuple(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def around(place, name: str, group: str | None, before: bool = True, after: bool = True) -> None:
        original = getattr(place, name)

        def called(*args, **kwargs):
            own = group or ("student" if args[0].phase == "student" else "teacher")
            if before:
                hit(own)
            found = original(*args, **kwargs)
            if after:
                hit(own)
            return found

        setattr(place, name, called)

    save_file = storage.save_file

    def half_written(tensors, path):
        save_file(tensors, path)
        content = Path(path).read_bytes()
        for share in (0, 1, 2):  # nothing, a third, two thirds of the file
            Path(path).write_bytes(content[: share * len(content) // 3])
            hit("write")
        Path(path).write_bytes(content)

    storage.save_file = half_written
    around(os, "replace", "write")
    around(os, "fsync", "write", before=False)
    around(Path, "unlink", "write", after=False)
    around(shutil, "rmtree", "write")
    around(FiniteGuard, "gradients", None, after=False)
    around(SoftLabelCache, "write", "cache")
    around(evaluator, "filtered_ranks", "evaluation", after=False)
    save = run_directory.save_directory

    def published(place, *args):
        done = save(place, *args)
        kind = place.parent if place.parent.name == "phases" else place.parent.parent
        if kind.name in ("phases", "checkpoints"):
            log.write(f"{kind.name}\t{place.relative_to(kind).parts[0]}\n")
        return done

    run_directory.save_directory = published


if __name__ == "__job__":
    with contextlib.suppress(KeyboardInterrupt):
        run(**JOB)  # type: ignore[name-defined]  # noqa: F821
