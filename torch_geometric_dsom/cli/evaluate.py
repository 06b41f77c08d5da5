"""``evaluate``: how well a run ranks."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from torch_geometric_dsom.cli.options import OUTPUT, JsonOption, RootOption, RunDatasetOption, RunOption, examples
from torch_geometric_dsom.cli.run_folder import GUIDED, RunFolder
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import BREAKDOWNS, TailScorer, breakdown
from torch_geometric_dsom.evaluation import evaluate as rank_facts
from torch_geometric_dsom.trainer import DSoMTrainer


def evaluate(
    run: RunOption,
    dataset: RunDatasetOption = None,
    root: RootOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    model: Annotated[str, typer.Option(help="student, guided, ce_only, or the name of a teacher.")] = "student",
    by: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Cut the result by {', '.join(BREAKDOWNS)}; may repeat.", rich_help_panel=OUTPUT, show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the facts of a split with the student of a run, alone or with guides, its CE-only student or a teacher."""
    for name in by or []:
        if name not in BREAKDOWNS:
            raise ConfigError(f"--by: expected one of {list(BREAKDOWNS)}, got '{name}'")
    folder = RunFolder(run)
    scorer = folder.guided() if model == GUIDED else _scorer(folder.trainer(), model)
    data = folder.data(dataset, root, features=any("modalities" in name for name in by or []))
    result = rank_facts(scorer, data, split=split)
    parts = [breakdown(result, data, name, split) for name in by or []]
    if as_json:
        cut = {part.by: part.to_dict() for part in parts}
        print(json.dumps({**result.to_dict(), **({"by": cut} if cut else {})}))
        return
    print("\n\n".join(map(str, [result, *parts])))


def _scorer(trainer: DSoMTrainer, name: str) -> TailScorer:
    known = {"student": trainer.student, "ce_only": trainer.baseline, **trainer.teachers}
    there = {name: scorer for name, scorer in known.items() if scorer is not None}
    if name not in there:
        raise ConfigError(f"--model: expected one of {list(there)}, got '{name}'")
    return there[name]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    told = examples(
        "evaluate --run runs/mine --split val",
        "evaluate --run runs/mine --model ce_only --by query_degree --by relation",
        "evaluate --run runs/mine --json",
    )
    app.command(epilog=told)(evaluate)
