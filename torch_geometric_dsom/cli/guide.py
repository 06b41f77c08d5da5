"""``guide``: the student of a run, asked together with guides."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from torch_geometric.data import Data

from torch_geometric_dsom.cli.options import OUTPUT, JsonOption, RootOption, RunDatasetOption, RunOption, examples
from torch_geometric_dsom.cli.run_folder import GUIDED, RunFolder
from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.evaluation import evaluate as rank_facts
from torch_geometric_dsom.nn import GUIDES, GuidedScorer, PathScorer
from torch_geometric_dsom.trainer import DSoMTrainer
from torch_geometric_dsom.trainer.guides import UNTRAINED

FACTS = 20.0  # of all facts, for each relation that has its own weight


def guide(
    run: RunOption,
    guides: Annotated[
        list[str] | None,
        typer.Option(
            "--guide",
            help=f"Which one is tried: {', '.join(GUIDES)}; may repeat.",
            show_default=", ".join(UNTRAINED),
        ),
    ] = None,
    by_relation: Annotated[
        bool, typer.Option("--by-relation", help="Give each relation and direction a weight of its own.")
    ] = False,
    dataset: RunDatasetOption = None,
    root: RootOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Also rank the test facts, alone and together.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the student of a run together with rules, resembling entities, frequencies or paths, and keep the result.

    Guides see structure alone. Validation facts choose their weights, one guide after the other. An older result of the
    run is replaced; evaluate --model guided and predict --guided use it.
    """
    names = list(UNTRAINED) if guides is None else guides
    for name in names:
        if name not in GUIDES:
            raise ConfigError(f"--guide: expected one of {list(GUIDES)}, got '{name}'")
    folder = RunFolder(run)
    student, data = folder.student(), folder.data(dataset, root, features=False)
    student.check(data)
    told = [_paths(folder, data) if name == PathScorer.name else name for name in names]
    together = student.with_guides(data, shrinkage=FACTS if by_relation else math.inf, guides=told)
    place = folder.path / GUIDED
    together.save(place)
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    found: dict[str, Any] = {
        "weights": dict.fromkeys(names, 0.0) | weights(together.scorer),
        "val_mrr": {
            name: rank_facts(model, data, split="val", known=known).mrr
            for name, model in (("student", student), (GUIDED, together))
        },
    }
    if test:
        found["test"] = {
            name: rank_facts(model, data).to_dict() for name, model in (("student", student), (GUIDED, together))
        }
    print(json.dumps(found) if as_json else table(found))
    print(f"kept in {place}", file=sys.stderr)


def weights(scorer: TailScorer) -> dict[str, float | list[float]]:
    """What each guide of a scorer weighs, for all relations or for each."""
    found: dict[str, float | list[float]] = {}
    while isinstance(scorer, GuidedScorer):
        found[scorer.guide.name] = scorer.weight if isinstance(scorer.weight, float) else list(scorer.weight)
        scorer = scorer.scorer
    return dict(reversed(found.items()))


def table(found: Mapping[str, Any]) -> str:
    """Weights and metrics as lines of text."""
    lines = []
    for name, weight in found["weights"].items():
        told = f"{weight:g}" if isinstance(weight, float) else f"{min(weight):g} to {max(weight):g} by relation"
        lines.append(f"{name:<10} weight {told}")
    for name, mrr in found["val_mrr"].items():
        test = f", test MRR {found['test'][name]['both']['mrr']:.4f}" if "test" in found else ""
        lines.append(f"{name:<10} validation MRR {mrr:.4f}{test}")
    return "\n".join(lines)


def _paths(folder: RunFolder, data: Data) -> PathScorer:
    """The paths that the run's teachers have, or others, trained as the run says."""
    trainer = folder.trainer()
    for part in trainer.teachers.values():
        while isinstance(part, GuidedScorer):
            if isinstance(part.guide, PathScorer):
                return part.guide
            part = part.scorer
    return DSoMTrainer(trainer.seed, trainer.config).fit_paths(data)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    told = examples(
        "guide --run runs/mine --test",
        "guide --run runs/mine --guide rules --guide frequency --by-relation",
        "evaluate --run runs/mine --model guided",
    )
    app.command(epilog=told)(guide)
