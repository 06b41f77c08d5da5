"""Runs every variant of a study with every seed, one JSON line each; what is done already is skipped.

python benchmarks/results/run.py benchmarks/results/emoji_world.json
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

import torch_geometric_dsom
from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import load_dataset
from torch_geometric_dsom.evaluation import evaluate

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--runs", type=Path, default=HERE.parent.parent / "runs" / "results")
    parser.add_argument("--seeds", type=int, nargs="*", help="only these")
    args = parser.parse_args()
    study = json.loads(args.study.read_text(encoding="utf-8"))
    lines = args.study.with_suffix(".jsonl")
    data = load_dataset(study["dataset"])
    environment()
    for seed in args.seeds or study["seeds"]:
        teachers = args.runs / args.study.stem / f"teachers-seed{seed}"
        for name, variant in study["variants"].items():
            if (name, seed) in done(lines):
                continue
            start, cpu = time.time(), time.process_time()
            trainer, fresh = with_teachers(data, seed, teachers, variant.get("options", {}))
            if variant.get("baseline"):
                model, phase = trainer.fit_baseline(data), "ce_only"
            else:
                model, phase = trainer.fit_student(data), "student"
            result = evaluate(model, data, split="test")
            record = {
                "variant": name,
                "seed": seed,
                "test": result.to_dict(),
                "val_mrr": trainer.results[phase].best_mrr,
                "epoch": trainer.results[phase].best_epoch,
                "last": trainer.results[phase].history[-1],
                "ranks": result.ranks.tolist(),
                "seconds": round(time.time() - start),
                "cpu_seconds": round(time.process_time() - cpu),
                "teachers_included": fresh,
                **environment(),
            }
            if ("teachers", seed) not in done(lines):
                append(lines, teacher_record(trainer, data, seed))
            append(lines, record)
            print(f"{name} seed {seed}: val {record['val_mrr']:.4f} test {result.mrr:.4f}", flush=True)


def with_teachers(data: Any, seed: int, directory: Path, options: dict[str, Any]) -> tuple[DSoMTrainer, bool]:
    """A trainer whose teachers are those of this seed, trained once for all variants; whether they were trained now."""
    trainer = DSoMTrainer(seed=seed, **options)
    fresh = not directory.exists()
    if fresh:
        maker = DSoMTrainer(seed=seed)
        maker.fit_teachers(data)
        maker.fit_student(data, epochs=1)  # a save needs a student
        maker.save(directory)
    kept = DSoMTrainer.load(directory)
    trainer.teachers = kept.teachers
    folds = trainer.config.crossfit
    parts = [directory.with_name(f"{directory.name}-fold{fold}of{folds}") for fold in range(folds)]
    if not all(part.exists() for part in parts):
        fresh = True
        for part, teachers in zip(parts, trainer.fit_fold_teachers(data), strict=True):
            kept.teachers = teachers
            kept.save(part)
    trainer.fold_teachers = [DSoMTrainer.load(part).teachers for part in parts]
    return trainer, fresh


def teacher_record(trainer: DSoMTrainer, data: Any, seed: int) -> dict[str, Any]:
    scores = {name: evaluate(teacher, data, split="test").to_dict() for name, teacher in trainer.teachers.items()}
    return {"variant": "teachers", "seed": seed, "test": scores, **environment()}


@functools.cache  # of the code that was imported, even if the repository moves on meanwhile
def environment() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip() or None,
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "torch_geometric_dsom": torch_geometric_dsom.__version__},
    }


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def done(path: Path) -> set[tuple[str, int]]:
    return {(record["variant"], record["seed"]) for record in read(path)}


def append(path: Path, record: dict[str, Any]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:  # one write a line, so that several processes may share the file
        os.write(handle, (json.dumps(record) + "\n").encode())
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
