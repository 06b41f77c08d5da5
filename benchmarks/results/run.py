"""Runs every variant of a study with every seed, one JSON line each; what is done already is skipped.

    python benchmarks/results/run.py benchmarks/results/emoji_world.json

A study names a dataset, seeds and variants of ``variants.json``. All start from what
:func:`torch_geometric_dsom.trainer.recommended` says of the dataset, and the study's own options where it has some; a
variant changes some of it, or is taught by the models of all seeds of another one (by so many, ``teaching``), or sets
these side by side; they are trained where no run with ``--keep`` has left them. A run that was cut off goes on where it
was.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from filelock import FileLock

import torch_geometric_dsom
from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import KnownAnswers, Vocabulary
from torch_geometric_dsom.datasets import load_dataset
from torch_geometric_dsom.evaluation import TailScorer, breakdown, calibration, evaluate
from torch_geometric_dsom.nn import EmbeddingScorer, Guide, GuidedScorer, PathScorer, product_of_experts
from torch_geometric_dsom.trainer import Student, next_teachers, recommended
from torch_geometric_dsom.trainer.experts import FUSED, STRUCTURE
from torch_geometric_dsom.trainer.guides import (
    OPTIONS,
    UNTRAINED,
    WEIGHTS,
    calibrated,
    guide_weights,
    guided,
    listen,
    make_guide,
)
from torch_geometric_dsom.trainer.paths import PATHS

HERE = Path(__file__).parent
VARIANTS = json.loads((HERE / "variants.json").read_text(encoding="utf-8"))
# What a finished student is asked together with: guides, and whether each relation has weights of its own.
ASKED = {
    "guided": (("rules", "ridge"), math.inf),
    "by_relation": (("rules", "ridge"), 20.0),
    "counted": (("rules", "ridge", "frequency"), math.inf),
    "counted_by_relation": (("rules", "ridge", "frequency"), 20.0),
    "with_paths": (("rules", "ridge", "frequency", "paths"), math.inf),
    "with_paths_by_relation": (("rules", "ridge", "frequency", "paths"), 20.0),
}
# The same where resembling entities are too many to be solved for; a study that wants it says so.
ASKED_LESS = {
    "rules_alone": (("rules",), math.inf),
    "rules_and_paths": (("rules", "paths"), math.inf),
    "rules_and_paths_by_relation": (("rules", "paths"), 20.0),
}
UNGUIDED = {**dict.fromkeys(OPTIONS.values(), 0.0), "calibrate": False}
MODEL = "model"  # of a run that others need
BREAKDOWNS = ("query_degree", "target_degree", "query_modalities", "target_modalities", "relation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--runs", type=Path, default=HERE.parent.parent / "runs" / "results")
    parser.add_argument("--seeds", type=int, nargs="*", help="only these")
    parser.add_argument("--variants", nargs="*", help="only these")
    parser.add_argument("--lines", type=Path, help="where to write instead of beside the study")
    parser.add_argument("--checkpoint-every", type=int, default=1, help="epochs between two checkpoints")
    parser.add_argument("--keep", action="store_true", help="the folders of finished runs, with their models")
    args = parser.parse_args()
    study = json.loads(args.study.read_text(encoding="utf-8"))
    study["checkpoint_every"] = args.checkpoint_every
    lines = args.lines or args.study.with_suffix(".jsonl")
    data = load_dataset(study["dataset"])
    environment()
    for seed in args.seeds or study["seeds"]:
        for name in args.variants or study["variants"]:
            if seed in study.get("only_seeds", {}).get(name, [seed]) and (name, seed) not in done(lines):
                runs = args.runs / args.study.stem
                if "side_by_side" in VARIANTS[name]:
                    side_by_side(study, data, name, seed, runs, lines)
                else:
                    run(study, data, name, seed, runs, lines, args.keep)


def run(study: dict[str, Any], data: Any, name: str, seed: int, runs: Path, lines: Path, keep: bool = False) -> None:
    """One variant with one seed."""
    start, cpu = time.time(), time.process_time()
    work = runs / f"{name}-seed{seed}"
    # The time of a run that goes on, itself or with its teachers, is not that of the whole.
    begun = work.exists() or "taught_by" in VARIANTS[name]
    begun = begun or (not VARIANTS[name].get("baseline") and teachers_begun(runs, seed, lines))
    trainer, phase = train(study, data, name, seed, runs, lines, work)
    model = trainer.student if phase == "student" else trainer.baseline
    record = {
        "variant": name,
        "seed": seed,
        **measured(model, data),
        "val_mrr": trainer.results[phase].best_mrr,
        "epoch": trainer.results[phase].best_epoch,
        "epochs": len(trainer.results[phase].history),
        "last": trainer.results[phase].history[-1],
        "seconds": None if begun else round(time.time() - start),
        "cpu_seconds": None if begun else round(time.process_time() - cpu),
        "rank": trainer.config.rank,
        **asked(study, model.freeze(), data, seed, runs),
        **environment(),
    }
    if phase == "student" and name == "dsom":
        record["selection"] = trainer.selection(data, split="test").to_dict()
    if name == "dsom":
        record["config"] = trainer.config.to_dict()
    append(lines, record)
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
    say(lines, record)


def side_by_side(study: dict[str, Any], data: Any, name: str, seed: int, runs: Path, lines: Path) -> None:
    """The models of all seeds of a variant as one, of a rank that is the sum of theirs; trained where none is kept."""
    models = all_seeds(study, data, VARIANTS[name]["side_by_side"], runs, lines)
    model = product_of_experts(models)
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    record = {
        "variant": name,
        "seed": seed,
        **measured(model, data),
        "val_mrr": evaluate(model, data, split="val", known=known).mrr,
        "seconds": None,
        "cpu_seconds": None,
        "rank": sum(part.rank for part in models),
        **asked(study, model, data, seed, runs),
        **environment(),
    }
    append(lines, record)
    say(lines, record)


def all_seeds(study: dict[str, Any], data: Any, name: str, runs: Path, lines: Path | None) -> list[EmbeddingScorer]:
    """The models of all seeds of a variant, trained where none is kept."""
    found = []
    for seed in study["seeds"]:
        work = runs / f"{name}-seed{seed}"
        with FileLock(f"{work}.lock"):  # whoever wants it at the same time waits
            if not (work / MODEL).exists():
                trainer, phase = train(study, data, name, seed, runs, lines, work)
                model = trainer.student if phase == "student" else trainer.baseline
                Student(model, Vocabulary.from_data(data), trainer.config).save(work / MODEL)
        found.append(Student.load(work / MODEL).tables)
    return found


def measured(model: TailScorer, data: Any) -> dict[str, Any]:
    """What a model gives on test facts: metrics, ranks, and mean reciprocal ranks by what is asked."""
    result = evaluate(model, data, split="test")
    return {
        "test": result.to_dict(),
        "ranks": [round(rank, 1) for rank in result.ranks.tolist()],
        "by": {
            by: {part.name: [part.result.mrr, part.result.count] for part in breakdown(result, data, by).buckets}
            for by in BREAKDOWNS
        },
    }


def say(lines: Path, record: Mapping[str, Any]) -> None:
    told = f"val {record['val_mrr']:.4f} test {record['test']['both']['mrr']:.4f}"
    print(f"{lines.stem} {record['variant']} seed {record['seed']}: {told}", flush=True)


def train(
    study: dict[str, Any],
    data: Any,
    name: str,
    seed: int,
    runs: Path,
    lines: Path | None = None,
    work: Path | None = None,
    over: Mapping[str, Any] = MappingProxyType({}),
    student_data: Any = None,
) -> tuple[DSoMTrainer, str]:
    """A trainer that has been through a variant, kept in a folder where one is given, and its last phase.

    The test facts of its teachers go to ``lines``, if there are some. Options of the last phase may be laid over, and
    it may be shown another graph, such as one with fewer validation facts.
    """
    variant, every = VARIANTS[name], study.get("checkpoint_every", 1)
    base = merge(recommended(study["dataset"]), study.get("options", {}))
    options = merge(merge(merge(base, study.get("paths", {})), variant.get("options", {})), over)
    listens = not variant.get("baseline") and options.get("path_weight", 0.0) > 0
    options = options if listens else without_paths(options)
    trainer = DSoMTrainer(seed=seed, checkpoint_dir=work, resume=True, checkpoint_every=every, **options)
    student_data = data if student_data is None else student_data
    with matmul_precision(study.get("matmul_precision", "highest")):
        if variant.get("baseline"):
            trainer.fit_baseline(student_data)
            return trainer, "ce_only"
        if "taught_by" in variant:
            students = all_seeds(study, data, variant["taught_by"], runs, lines)
            after = study["seeds"].index(seed) + 1  # a student is not its own teacher, where one alone teaches
            students = (students[after:] + students[:after])[: variant.get("teaching")]
            told, trained = dict(variant.get("next", {})), {}
            if PATHS in told.get("guides", ()):
                trained[PATHS] = paths(study, data, seed, runs)
                told["guides"] = [trained.get(guide, guide) for guide in told["guides"]]
            trainer.teachers = next_teachers(students, data, **told)
            tell_teachers({**trained, **trainer.teachers}, data, f"teachers of {name}", seed, lines)
        else:
            weights = guide_weights(trainer.config)
            trained = {PATHS: paths(study, data, seed, runs)} if weights[PATHS] > 0 else {}
            parts = name, weights, trained, trainer.config.calibrate
            trainer.teachers = teachers(data, base, seed, runs, *parts, lines, every)
        if trainer.config.crossfit:
            trainer.fold_teachers = fold_teachers(data, base, trainer.config.crossfit, seed, runs)
        trainer.fit_student(student_data)
        return trainer, "student"


def asked(study: dict[str, Any], student: EmbeddingScorer, data: Any, seed: int, runs: Path) -> dict[str, Any]:
    """The finished student, asked together with guides that see structure alone; validation facts choose weights."""
    if not study.get("guided", True):
        return {}
    guides = {name: make_guide(name, data, kinds=()) for name in UNTRAINED}
    guides |= {PATHS: paths(study, data, seed, runs)} if "paths" in study else {}
    known, told = KnownAnswers.from_data(data, splits=("train", "val")), {}
    found: dict[tuple[tuple[str, ...], float], TailScorer] = {}
    for key, (names, shrinkage) in (ASKED_LESS if study.get("ridge") is False else ASKED).items():
        if not set(names) <= set(guides):
            continue
        # Guides are tried one after the other, so that what was found with fewer is where the next one begins.
        before = found.get((names[:-1], shrinkage))
        rest = [guides[name] for name in (names if before is None else names[-1:])]
        asked = listen(student if before is None else before, rest, data, WEIGHTS, shrinkage)
        found[names, shrinkage] = asked
        result = evaluate(asked, data, split="test")
        weights: dict[str, float | tuple[float, ...]] = dict.fromkeys(names, 0.0)
        part = asked
        while isinstance(part, GuidedScorer):
            weights[part.guide.name], part = part.weight, part.scorer
        told[key] = {
            "weights": weights,
            "val_mrr": evaluate(asked, data, split="val", known=known).mrr,
            "test": result.to_dict(),
            "ranks": [round(rank, 1) for rank in result.ranks.tolist()],
        }
    return told


def paths(study: dict[str, Any], data: Any, seed: int, runs: Path) -> PathScorer:
    """The guide of paths of a seed, trained once for all variants, with what the study says of it."""
    return train_paths(study, data, seed, runs / f"paths-seed{seed}")[1]


def train_paths(study: dict[str, Any], data: Any, seed: int, work: Path) -> tuple[DSoMTrainer, PathScorer]:
    """A trainer that has been through the training of a guide of paths, and the guide."""
    options = merge(recommended(study["dataset"]), study.get("options", {}))
    options = merge(merge(options, study.get("paths", {})), UNGUIDED)
    work.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{work}.lock"):  # whoever wants it at the same time waits
        every = study.get("checkpoint_every", 1)
        trainer = DSoMTrainer(seed=seed, checkpoint_dir=work, resume=True, checkpoint_every=every, **options)
        return trainer, trainer.fit_paths(data)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Options over options; nested ones likewise."""
    found = dict(base)
    for name, value in over.items():
        old = found.get(name)
        found[name] = merge(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return found


def without_paths(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of those who do not listen to a guide of paths: what it is like is no matter of theirs."""
    return {name: value for name, value in options.items() if not name.startswith("path_")}


def teachers(
    data: Any,
    options: dict[str, Any],
    seed: int,
    runs: Path,
    variant: str,
    weights: Mapping[str, float],
    trained: Mapping[str, Guide],
    calibrate: bool,
    lines: Path | None,
    every: int = 1,
) -> dict[str, Any]:
    """The teachers of a seed, trained once for all variants; guides join them afterwards."""
    start, cpu, work = time.time(), time.process_time(), runs / f"teachers-seed{seed}"
    apart = without_paths(merge(options, UNGUIDED))
    runs.mkdir(parents=True, exist_ok=True)
    with FileLock(runs / f"{work.name}.lock"):  # whoever wants them at the same time waits
        begun = teachers_begun(runs, seed, lines)
        trainer = DSoMTrainer(seed=seed, checkpoint_dir=work, resume=True, checkpoint_every=every, **apart)
        found: dict[str, Any] = trainer.fit_teachers(data)
        last = found.get(FUSED, found[STRUCTURE])
        both = guided(last, data, weights, trained)
        both = calibrated(both, data) if calibrate else both
        told = found if both is last else {**trained, FUSED: both}
        name = "teachers" if both is last else f"teachers of {variant}"
        seconds = None if begun else round(time.time() - start)
        tell_teachers(told, data, name, seed, lines, seconds, None if begun else round(time.process_time() - cpu))
    return found if both is last else {**found, FUSED: both}


def tell_teachers(
    teachers: Mapping[str, TailScorer],
    data: Any,
    name: str,
    seed: int,
    lines: Path | None,
    seconds: int | None = None,
    cpu_seconds: int | None = None,
) -> None:
    """The test facts of teachers, unless they are told already."""
    if lines is None or (name, seed) in done(lines):
        return
    with matmul_precision("highest"):
        record = {
            "variant": name,
            "seed": seed,
            "test": {name: evaluate(teacher, data, split="test").to_dict() for name, teacher in teachers.items()},
            "calibration": {
                name: calibration(teacher, data, split="test").to_dict() for name, teacher in teachers.items()
            },
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            **environment(),
        }
    append(lines, record)


def teachers_begun(runs: Path, seed: int, lines: Path | None) -> bool:
    """Whether the teachers of a seed were begun and have no line yet, be it alone or with guides."""
    told = any(name.startswith("teachers") and of == seed for name, of in done(lines)) if lines is not None else False
    return (runs / f"teachers-seed{seed}").exists() and not told


def fold_teachers(data: Any, options: dict[str, Any], folds: int, seed: int, runs: Path) -> list[dict[str, Any]]:
    """The teachers of each fold of a seed, trained once for all variants."""
    path = runs / f"teachers-seed{seed}-folds{folds}"
    return DSoMTrainer(
        seed=seed, checkpoint_dir=path, resume=True, **merge(options, {"crossfit": folds})
    ).fit_fold_teachers(data)


@functools.cache  # of the code that was imported, even if the repository moves on meanwhile
def environment() -> dict[str, Any]:
    """Where and with what; a copy of the code without its repository is told its commit in ``DSOM_COMMIT``."""
    quiet: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
    where, ask = Path(torch_geometric_dsom.__file__).parent, ["git", "rev-parse", "--short", "HEAD"]
    commit = os.environ.get("DSOM_COMMIT") or subprocess.run(ask, cwd=where, **quiet).stdout.strip()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return {
        "commit": commit or None,
        "machine": f"{platform.machine()} {device}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "torch_geometric_dsom": torch_geometric_dsom.__version__},
    }


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """How exact float32 products are for a while, see ``torch.set_float32_matmul_precision``."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


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
