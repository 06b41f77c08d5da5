"""Does the agent leave out teachers that are known to be useless or misleading, and what is that worth?

On graphs with planted truth: a text that is right everywhere, an image that is right on half of the relations and
misleads on the others, and pure noise. Three students for each seed: without the teachers that see image or noise,
with all teachers averaged, and with all teachers and the agent. One JSON line each; what is done already is skipped.

python benchmarks/selection/run.py            # runs, then writes the table and the picture
python benchmarks/selection/run.py --tables   # writes them from what was run
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import product_of_experts

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from results.run import append, environment, read  # noqa: E402

SEEDS = (0, 1, 2)
OPTIONS: dict[str, Any] = {
    "rank": 64,
    "teacher_hidden": 256,
    "teacher_dropout": 0.3,
    "teacher_fit": {"epochs": 60, "batch_size": 256},
    "student_fit": {"epochs": 30},
    "mask_self": False,  # measured without
}
VARIANTS: dict[str, dict[str, Any]] = {
    "without": {},
    "without, averaged": {"selection": "all"},
    "averaged": {"selection": "all"},
    "random": {"selection": "random"},
    "best per relation": {"selection": "best_per_relation"},
    "agent": {},
    "agent, categorical": {"policy": "categorical"},
    "agent, reinforce": {"gradient": "reinforce"},
    "text alone": {"selection": "all"},
    "text, image, noise: averaged": {"selection": "all"},
    "text, image, noise: agent": {},
}
NAMES = {
    "without": "agent, without image and noise",
    "without, averaged": "average, without image and noise",
    "averaged": "average of all teachers",
    "random": "random subsets of all",
    "best per relation": "best set per relation on validation",
    "agent": "**agent, all teachers**",
    "agent, categorical": "the same, one variable over subsets",
    "agent, reinforce": "the same, REINFORCE instead of the exact gradient",
    "text alone": "text teacher alone",
    "text, image, noise: averaged": "average of text, image and noise",
    "text, image, noise: agent": "agent, text, image and noise",
}

CLAIMS = (
    ("agent", "without"),
    ("agent", "averaged"),
    ("averaged", "without"),
    ("averaged", "without, averaged"),
    ("text, image, noise: averaged", "text alone"),
    ("text, image, noise: agent", "text alone"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", action="store_true", help="only write table and picture")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    args = parser.parse_args()
    lines = HERE / "fake_mmkg.jsonl"
    environment()
    if not args.tables:
        for seed in args.seeds:
            run(seed, lines)
    write(read(lines))


def run(seed: int, lines: Path) -> None:
    done = {record["variant"] for record in read(lines) if record["seed"] == seed}
    if done >= set(VARIANTS):
        return
    dataset = FakeMMKG(seed=seed)
    data = dataset[0]
    maker = DSoMTrainer(seed=seed, **OPTIONS)
    everyone = maker.fit_teachers(data)
    experts = [everyone[name] for name in ("structure", "text")]
    few = {"structure": experts[0], "text": experts[1], "fused": product_of_experts(experts)}
    scores = {name: evaluate(teacher, data, split="test").mrr for name, teacher in everyone.items()}
    for name, options in VARIANTS.items():
        if name in done:
            continue
        trainer = DSoMTrainer(seed=seed, teachers=teachers_of(name, everyone, few), **OPTIONS, **options)
        trainer.fit_student(data)
        record = {
            "variant": name,
            "seed": seed,
            "test_mrr": trainer.evaluate(data, split="test").mrr,
            "val_mrr": trainer.results["student"].best_mrr,
            "teachers": scores,
            "truth": dataset.truth,
            "selection": trainer.selection(data, split="test").to_dict(),
            **environment(),
        }
        append(lines, record)
        print(f"seed {seed}, {name}: test MRR {record['test_mrr']:.4f}, {record['selection']['total']}", flush=True)
        if name == "agent" and seed == SEEDS[0]:
            trainer.selection(data, split="test").plot(HERE / "selection.png")


def teachers_of(variant: str, everyone: dict[str, Any], few: dict[str, Any]) -> dict[str, Any]:
    """The teachers of a variant: those without image and noise, those named, or all."""
    if variant.startswith("without"):
        return few
    if variant.startswith("text"):
        names = ("text",) if variant == "text alone" else ("text", "image", "noise")
        return {name: everyone[name] for name in names}
    return everyone


def image_shares(record: dict[str, Any]) -> tuple[float, float]:
    """Share of facts for which the image is chosen, on relations where it is informative and where it misleads."""
    rows = list(record["selection"]["relations"].values())
    means = []
    for kind in ("informative", "misleading"):
        chosen = [row["image"] for row, truth in zip(rows, record["truth"]["image"], strict=True) if truth == kind]
        means.append(sum(chosen) / len(chosen))
    return means[0], means[1]


def write(records: list[dict[str, Any]]) -> None:
    """The table, from the records alone."""
    by = {(record["variant"], record["seed"]): record for record in records}
    seeds = sorted({seed for _, seed in by})
    out = [
        "| student | test MRR x 100 | noise chosen | image chosen where right | where it misleads |",
        "|---|---|---|---|---|",
    ]
    for name, label in NAMES.items():
        rows = [by[name, seed] for seed in seeds if (name, seed) in by]
        if not rows:
            continue
        cells = [spread([100 * row["test_mrr"] for row in rows])]
        if name.startswith("without") or name == "text alone":
            cells += ["", "", ""]
        else:
            images = [image_shares(row) for row in rows]
            cells.append(spread([100 * row["selection"]["total"]["noise"] for row in rows], 1) + " %")
            cells += [spread([100 * pair[side] for pair in images], 1) + " %" for side in (0, 1)]
        out.append(f"| {label} | " + " | ".join(cells) + " |")
    if all((name, seed) in by for name in ("agent", "without", "averaged") for seed in seeds):
        out.append("")
        for first, second in CLAIMS:
            both = [seed for seed in seeds if (first, seed) in by and (second, seed) in by]
            gaps = [100 * (by[first, seed]["test_mrr"] - by[second, seed]["test_mrr"]) for seed in both]
            if gaps:
                names = (NAMES[name].strip("*") for name in (first, second))
                out.append(f"- {' minus '.join(names)}, seed by seed: {spread(gaps)}")
        out.append("")
        teachers = {
            name: spread([100 * by["agent", seed]["teachers"][name] for seed in seeds])
            for name in by["agent", seeds[0]]["teachers"]
        }
        out.append(
            "Teachers, test MRR x 100: " + ", ".join(f"{name} {value}" for name, value in teachers.items()) + "."
        )
        first = by["agent", seeds[0]]
        commits = sorted({record["commit"] for record in records})
        out.append(
            f"Seeds {seeds}; mean and standard deviation; commit {', '.join(map(str, commits))}; "
            f"{first['machine']}; torch {first['versions']['torch']}."
        )
    text = (HERE / "preface.md").read_text(encoding="utf-8") + "\n" + "\n".join(out) + "\n"
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print("\n".join(out))


def spread(values: list[float], digits: int = 2) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"


if __name__ == "__main__":
    torch.set_num_threads(1)  # the third decimal depends on it
    main()
