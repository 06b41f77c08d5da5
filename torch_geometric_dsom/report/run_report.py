"""The report of a run: what it reached, against what, where, and where not."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch_geometric
from torch_geometric.data import Data

from torch_geometric_dsom.data import Vocabulary, modalities, split_triples
from torch_geometric_dsom.datasets import Gallery
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import (
    BREAKDOWNS,
    BootstrapResult,
    Breakdown,
    RankingResult,
    breakdown,
    paired_bootstrap,
)
from torch_geometric_dsom.plots import plot_breakdown, plot_choices, plot_history, plot_selection
from torch_geometric_dsom.plots.figure import to_svg
from torch_geometric_dsom.report.confusions import Confusion, confusions
from torch_geometric_dsom.report.template import render
from torch_geometric_dsom.trainer import Comparison, DSoMConfig, DSoMTrainer, SelectionShares, compare
from torch_geometric_dsom.trainer.compare import BASELINE, STUDENT
from torch_geometric_dsom.trainer.fit import Record
from torch_geometric_dsom.version import __version__


@dataclass(frozen=True)
class RunReport:
    """Everything that the report of a run tells, see :func:`make_report`.

    Args:
        title (str): What it is of.
        graph (dict): Sizes of the graph, by name.
        comparison (Comparison): Metrics of teachers and students.
        gain (BootstrapResult, optional): MRR of the student minus that of the CE-only student, where there is one.
        parts (dict): For each way to cut a result, the breakdown of each student.
        shares (SelectionShares, optional): What the agent chooses for validation facts, or for training facts where
            there are none.
        shares_split (str): Of which split those facts are.
        wrong (list[Confusion]): Where the student is wrong and sure of it.
        history (list[dict]): Records of the epochs.
        config (dict): Values of the configuration, by name with dots.
        changed (set): Names of those that are not the library's defaults.
        environment (dict): Where it was trained.
        names (Vocabulary): Names of entities and relations.
    """

    title: str
    graph: dict[str, str]
    comparison: Comparison
    gain: BootstrapResult | None
    parts: dict[str, dict[str, Breakdown]]
    shares: SelectionShares | None
    shares_split: str
    wrong: tuple[Confusion, ...]
    history: list[Record]
    config: dict[str, Any]
    changed: frozenset[str]
    environment: dict[str, str]
    names: Vocabulary

    @property
    def student(self) -> RankingResult:
        """The ranks of the student."""
        return self.comparison.rows[-1].result

    @property
    def baseline(self) -> RankingResult | None:
        """The ranks of the CE-only student, where there is one."""
        return next((row.result for row in self.comparison.rows if row.name == BASELINE), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "title": self.title,
            "graph": self.graph,
            "comparison": self.comparison.to_dict(),
            "gain": None if self.gain is None else self.gain._asdict(),
            "parts": {by: {name: part.to_dict() for name, part in each.items()} for by, each in self.parts.items()},
            "shares": None if self.shares is None else self.shares.to_dict(),
            "wrong": [confusion.__dict__ for confusion in self.wrong],
            "config": self.config,
            "environment": self.environment,
        }

    def figures(self) -> dict[str, str]:
        """The figures as SVG, by name; those of which there is nothing to show are left out."""
        found: dict[str, str] = {}
        if any("val_mrr" in record for record in self.history):
            found["curves"] = to_svg(plot_history(self.history))
        if any("loss" in record for record in self.history):
            found["loss"] = to_svg(plot_history(self.history, "loss"))
        if any(name.startswith("select/") for record in self.history for name in record):
            found["choices"] = to_svg(plot_choices(self.history))
        if self.shares is not None:
            found["selection"] = to_svg(plot_selection(self.shares))
        for by, parts in self.parts.items():
            if by != "relation" and max(len(part.buckets) for part in parts.values()) > 1:
                found[by] = to_svg(plot_breakdown(parts))
        return found

    def to_html(self, gallery: Gallery | None = None) -> str:
        """The report as a page.

        Args:
            gallery (Gallery, optional): Pictures of the entities.

        Returns:
            str: One file of HTML that asks the network for nothing.

        Raises:
            MissingPackageError: If jinja2 or matplotlib is not installed.
        """
        relations = []
        each = self.parts["relation"]
        for bucket in sorted(each[STUDENT].buckets, key=lambda bucket: -bucket.result.count):
            before = each[BASELINE][bucket.name].mrr if BASELINE in each else None
            relations.append((bucket.name, bucket.result, before))
        return render("run.html.j2", gallery, report=self, figures=self.figures(), relations=relations)


def make_report(
    trainer: DSoMTrainer,
    data: Data,
    title: str = "DSoM",
    split: str = "test",
    environment: Mapping[str, str] | None = None,
) -> RunReport:
    """Gathers what the report of a trained trainer tells.

    Args:
        trainer (DSoMTrainer): Trained, or loaded; with :meth:`DSoMTrainer.fit_baseline` for the CE-only student.
        data (Data): The graph that it was trained on, with its modalities.
        title (str): What it is of. (default: :obj:`"DSoM"`)
        split (str): The split that everything is measured on. (default: :obj:`"test"`)
        environment (dict, optional): Where it was trained; where we are if :obj:`None`.

    Returns:
        RunReport: With plain values and a page.

    Raises:
        ConfigError: If the trainer is not trained.
        DataError: If the split has no facts.
    """
    if trainer.student is None:
        raise ConfigError("trainer: expected one that is trained, got none of the kind")
    comparison = compare(trainer, data, split)
    ranks = {row.name: row.result for row in comparison.rows if row.name in (STUDENT, BASELINE)}
    gain = paired_bootstrap(ranks[STUDENT].ranks, ranks[BASELINE].ranks) if BASELINE in ranks else None
    shares_split = "val" if split_triples(data, "val").size(0) else "train"
    config, defaults = _flat(trainer.config), _flat(DSoMConfig())
    return RunReport(
        title,
        _sizes(data),
        comparison,
        gain,
        {by: {name: breakdown(result, data, by, split) for name, result in ranks.items()} for by in BREAKDOWNS},
        trainer.selection(data, shares_split) if trainer.teachers else None,
        shares_split,
        tuple(confusions(trainer.student, data, split, other=trainer.baseline)),
        list(trainer.history),
        {"seed": trainer.seed, **config},
        frozenset(name for name in config if config[name] != defaults[name]),
        dict(environment) if environment is not None else current_environment(),
        Vocabulary.from_data(data),
    )


def current_environment() -> dict[str, str]:
    """Versions and machine, by name.

    Example:
        >>> current_environment()["python"] == platform.python_version()
        True
    """
    found = {
        "torch_geometric_dsom": __version__,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return {
        **found,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": cores,
    }


def _flat(config: DSoMConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        inner = value.__dict__ if hasattr(value, "__dataclass_fields__") else None
        found |= {item.name: value} if inner is None else {f"{item.name}.{name}": part for name, part in inner.items()}
    return found


def _sizes(data: Data) -> dict[str, str]:
    counts = " / ".join(f"{split_triples(data, split).size(0):,}" for split in ("train", "val", "test"))
    found = {"entities": f"{data.num_nodes:,}", "relations": f"{data.num_relations:,}", "facts": counts}
    return found | {f"with {name}": f"{int(data[f'{name}_mask'].sum()):,}" for name in modalities(data)}
