"""Draws the figures of benchmarks/RESULTS.md from the JSON lines of the studies.

python benchmarks/results/figures.py
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from matplotlib.figure import Figure
from tables import HERE, Runs, load, studies

from torch_geometric_dsom.data import split_triples
from torch_geometric_dsom.datasets import EmojiWorld, Gallery

SHOWN, PICTURES, FEWEST = 5, 6, 20  # relations at each end, pictures a relation, test queries that a relation must have


def main() -> None:
    degrees().savefig(HERE / "degree.png", dpi=110)
    for path in studies():
        study, runs = load(path)
        if study["dataset"] == "EmojiWorld" and any("selection" in run for run in runs.get("dsom", {}).values()):
            pictures(runs).savefig(HERE / "selection.png", dpi=110)
            break


def degrees() -> Figure:
    """MRR by training degree of query entity and target, CE-only beside the student."""
    found = [load(path) for path in studies()]
    found = [(study, runs) for study, runs in found if any("by" in run for run in runs.get("dsom", {}).values())]
    figure = Figure(figsize=(8.5, 2.6 * len(found)), layout="constrained")
    axes = figure.subplots(max(len(found), 1), 2, squeeze=False)
    for (study, runs), row in zip(found, axes, strict=False):
        sides = (("query_degree", "query entity"), ("target_degree", "target"))
        for axis, (by, side) in zip(row, sides, strict=True):
            names = list(next(iter(runs["dsom"].values()))["by"][by])
            baseline, student = study.get("baseline", "ce_only"), study.get("student", "dsom")
            for offset, (variant, label) in enumerate(
                ((baseline, "CE-only"), ("dsom_facts", "facts alone"), (student, "DSoM"))
            ):
                records = [run["by"][by] for run in runs.get(variant, {}).values() if "by" in run]
                if records:
                    values = [[100 * record[name][0] for record in records] for name in names]
                    places = [place + 0.27 * (offset - 1) for place in range(len(names))]
                    error = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
                    means, colour = [statistics.mean(v) for v in values], f"C{offset}"
                    axis.bar(places, means, 0.25, yerr=error, label=label, color=colour)
            axis.set_xticks(range(len(names)), names)
            axis.set_xlabel(f"training facts of the {side}")
            axis.set_ylabel("test MRR x 100")
            axis.set_title(study.get("title", study["dataset"]), loc="left", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
    shown = {label: bars for row in axes for bars, label in zip(*row[0].get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside upper right", ncols=len(shown), frameon=False, fontsize=8)
    return figure


def pictures(runs: Runs) -> Figure:
    """Relations for which the image teacher is chosen most and least often, with pictures of their test facts."""
    data = EmojiWorld()[0]
    gallery = Gallery.of("EmojiWorld", data)
    records = [run for run in runs["dsom"].values() if "selection" in run]
    counts = {name: count for name, (_, count) in records[0]["by"]["relation"].items() if count >= FEWEST}
    share = {name: mean_share(records, name, "image") for name in counts}
    ordered = sorted(share, key=lambda name: -share[name])
    chosen = [*ordered[:SHOWN], *ordered[-SHOWN:]]
    teachers = list(records[0]["selection"]["total"])
    figure = Figure(figsize=(9.5, 0.72 * len(chosen) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(chosen), PICTURES + 1, width_ratios=[4, *[1] * PICTURES])
    facts = split_triples(data, "test")
    for row, name in enumerate(chosen):
        axis = figure.add_subplot(grid[row, 0])
        values = [mean_share(records, name, teacher) for teacher in teachers]
        axis.barh(range(len(teachers)), values, color=["C1" if teacher == "image" else "C0" for teacher in teachers])
        axis.set_yticks(range(len(teachers)), teachers, fontsize=6)
        axis.set_xlim(0, 1)
        axis.invert_yaxis()
        axis.tick_params(axis="x", labelsize=6)
        axis.set_title(f"{name} ({counts[name]} queries)", loc="left", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        relation = data.relation_labels.index(name)
        entities = facts[facts[:, 1] == relation][:, [0, 2]].flatten().unique()
        entities = entities[torch.randperm(len(entities), generator=torch.Generator().manual_seed(0))]
        seen = [entity for entity in entities.tolist() if gallery.image(entity) is not None][:PICTURES]
        for column, entity in enumerate(seen, start=1):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(gallery.image(entity))
            axis.set_title(data.entity_labels[entity][:16], fontsize=5, pad=1)
            axis.axis("off")
    figure.suptitle("Share of test facts for which each teacher is chosen; pictures of their entities", fontsize=9)
    return figure


def mean_share(records: list[dict[str, Any]], relation: str, teacher: str) -> float:
    return statistics.mean(run["selection"]["relations"][relation][teacher] for run in records)


if __name__ == "__main__":
    main()
