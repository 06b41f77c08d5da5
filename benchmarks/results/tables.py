"""Writes benchmarks/RESULTS.md from the JSON lines of the studies; no figure in it is typed by hand.

python benchmarks/results/tables.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch

from torch_geometric_dsom.evaluation import paired_bootstrap

HERE = Path(__file__).parent
METRICS = ("mrr", "hits@1", "hits@3", "hits@10")


def main() -> None:
    parts = [(HERE / "preface.md").read_text(encoding="utf-8")]
    parts += [section(path) for path in sorted(HERE.glob("*.json")) if path.with_suffix(".jsonl").exists()]
    (HERE.parent / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")


def section(study_path: Path) -> str:
    study = json.loads(study_path.read_text(encoding="utf-8"))
    records = [json.loads(line) for line in study_path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    by_variant: dict[str, dict[int, dict[str, Any]]] = {}
    for record in records:
        by_variant.setdefault(record["variant"], {})[record["seed"]] = record
    commits = sorted({str(record["commit"]) for record in records})
    lines = [
        f"## {study['dataset']}",
        "",
        f"Filtered test metrics x 100, both directions; mean ± standard deviation over seeds {study['seeds']}. "
        f"Commit {', '.join(commits)}; {records[0]['machine']}, torch {records[0]['versions']['torch']}; "
        f"`python benchmarks/results/run.py benchmarks/results/{study_path.name}`.",
        "",
        "| | MRR | Hits@1 | Hits@3 | Hits@10 | validation MRR | CPU s a run |",
        "|---|---|---|---|---|---|---|",
    ]
    teachers = by_variant.get("teachers", {})
    for name in next(iter(teachers.values()))["test"] if teachers else ():
        cells = [cell([run["test"][name]["both"][metric] for run in teachers.values()]) for metric in METRICS]
        lines.append(f"| teacher: {name} | {' | '.join(cells)} | | |")
    for name, variant in study["variants"].items():
        runs = list(by_variant.get(name, {}).values())
        if runs:
            cells = [cell([run["test"]["both"][metric] for run in runs]) for metric in METRICS]
            # Runs that also trained teachers are left out, where there are others.
            alone = [run["cpu_seconds"] for run in runs if not run["teachers_included"]]
            cpu = f"{statistics.mean(alone):.0f}" if alone else "teachers included"
            lines.append(f"| {variant['title']} | {' | '.join(cells)} | {cell([r['val_mrr'] for r in runs])} | {cpu} |")
    lines += ["", *claims(study, by_variant), "", *selection(by_variant.get("dsom", {})), ""]
    return "\n".join(lines)


def claims(study: dict[str, Any], by_variant: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    lines = [
        "| difference of test MRR x 100 | mean | standard deviation over seeds | mean / deviation "
        "| paired bootstrap over queries, per seed |",
        "|---|---|---|---|---|",
    ]
    for first, second in study["claims"]:
        seeds = sorted(set(by_variant.get(first, {})) & set(by_variant.get(second, {})))
        if len(seeds) < 2:
            continue
        pairs = [(by_variant[first][seed], by_variant[second][seed]) for seed in seeds]
        gaps = [100 * (a["test"]["both"]["mrr"] - b["test"]["both"]["mrr"]) for a, b in pairs]
        deviation = statistics.stdev(gaps)
        values = []
        for a, b in pairs:
            found = paired_bootstrap(torch.tensor(a["ranks"]), torch.tensor(b["ranks"]))
            values.append(f"[{100 * found.low:+.2f}, {100 * found.high:+.2f}] p = {found.p_value:.4f}")
        lines.append(
            f"| {first} - {second} | {statistics.mean(gaps):+.2f} | {deviation:.2f} "
            f"| {statistics.mean(gaps) / deviation:.1f} | {'; '.join(values)} |"
        )
    return lines


def selection(runs: dict[int, dict[str, Any]]) -> list[str]:
    if not runs:
        return []
    names = [name for name in next(iter(runs.values()))["last"] if name.startswith("select/")]
    shares = [cell([run["last"][name] for run in runs.values()]) for name in names]
    return [
        "Share of training facts (%) for which the agent chose each teacher in the last epoch:",
        "",
        f"| {' | '.join(name.removeprefix('select/') for name in names)} |",
        f"|{'---|' * len(names)}",
        f"| {' | '.join(shares)} |",
    ]


def cell(values: list[float]) -> str:
    mean = 100 * statistics.mean(values)
    return f"{mean:.2f} ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


if __name__ == "__main__":
    main()
