"""Tries settings on the validation facts of a study, one JSON line each; no test fact is read.

    python benchmarks/results/tune.py benchmarks/results/db15k_1000.json

A study lists what to try under ``tuning``: a variant, options that it shares with its teachers, and options of its own.
With ``halves`` the student, its agent and the choice of its epoch know one half of the validation facts, and both
halves are told: what a model gains on the first alone, it knows by heart. What was tried already is skipped. Lines go
to ``<study>.tuning.jsonl``, which :mod:`tables` tells.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import zlib
from pathlib import Path
from typing import Any

import torch
from run import HERE, VARIANTS, append, environment, merge, read, train, train_paths

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.datasets import load_dataset
from torch_geometric_dsom.evaluation import evaluate

NO_CHECKPOINTS = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", type=int, nargs="*", help="only these of the list, from 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=HERE.parent.parent / "runs" / "tuning")
    parser.add_argument("--lines", type=Path, help="where to write instead")
    args = parser.parse_args()
    study = json.loads(args.study.read_text(encoding="utf-8"))
    lines = args.lines or args.study.with_suffix(".tuning.jsonl")
    data = load_dataset(study["dataset"])
    for number in range(len(study["tuning"])) if args.only is None else args.only:
        tried = {"shared": {}, "own": {}, "halves": False, **study["tuning"][number], "seed": args.seed}
        if not any(all(record.get(key, False) == value for key, value in tried.items()) for record in read(lines)):
            record = {**tried, **attempt(study, data, tried, args.runs / args.study.stem), **environment()}
            append(lines, record)
            print(f"{lines.stem} {json.dumps(tried)}: {record['val']}, {record['seconds']} s", flush=True)


def attempt(study: dict[str, Any], data: Any, tried: dict[str, Any], runs: Path) -> dict[str, Any]:
    """Validation MRR by model: the student or CE-only, and its teachers where it has some."""
    start, options = time.time(), merge(study.get("options", {}), tried["shared"])
    shared = zlib.crc32(json.dumps(tried["shared"], sort_keys=True).encode())
    study = {**study, "options": options, "checkpoint_every": NO_CHECKPOINTS}
    first, second = halves(data) if tried.get("halves") else (data, data)
    folder = runs / f"{shared:08x}"
    if VARIANTS[tried["variant"]].get("paths"):
        return {**attempt_paths(study, data, tried, folder), "seconds": round(time.time() - start)}
    trainer, phase = train(study, data, tried["variant"], tried["seed"], folder, over=tried["own"], student_data=first)
    result = trainer.results[phase]
    model = trainer.student if phase == "student" else trainer.baseline
    known = KnownAnswers.from_data(data, splits=("train", "val"))  # as in training, without test facts
    models = {phase: model, **trainer.teachers}
    val = {name: evaluate(model, second, split="val", known=known).mrr for name, model in models.items()}
    seen = {name: evaluate(model, first, split="val", known=known).mrr for name, model in models.items()}
    by_epoch = {str(record["epoch"]): record["val_mrr"] for record in result.history if "val_mrr" in record}
    told = {"val": val, "epoch": result.best_epoch, "by_epoch": by_epoch, "seconds": round(time.time() - start)}
    return {**told, "seen": seen} if tried.get("halves") else told


def attempt_paths(study: dict[str, Any], data: Any, tried: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same of a guide of paths alone."""
    number = zlib.crc32(json.dumps(tried["own"], sort_keys=True).encode())
    study = {**study, "paths": merge(study.get("paths", {}), tried["own"])}
    trainer, _ = train_paths(study, data, tried["seed"], folder / f"paths-{number:08x}-seed{tried['seed']}")
    (result,) = trainer.results.values()
    by_epoch = {str(record["epoch"]): record["val_mrr"] for record in result.history if "val_mrr" in record}
    return {"val": {"paths": result.best_mrr}, "epoch": result.best_epoch, "by_epoch": by_epoch}


def halves(data: Any) -> tuple[Any, Any]:
    """The graph with one half of its validation facts, and with the other; all else is the same."""
    order = torch.randperm(len(split_triples(data, "val")), generator=torch.Generator().manual_seed(0))
    found = []
    for some in order.chunk(2):
        half = copy.copy(data)
        half.val_edge_index, half.val_edge_type = data.val_edge_index[:, some], data.val_edge_type[some]
        found.append(half)
    return found[0], found[1]


if __name__ == "__main__":
    main()
