"""``explain``: why the student answers as it does."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from torch_geometric_dsom.cli.options import (
    HtmlOption,
    JsonOption,
    RootOption,
    RunDatasetOption,
    RunOption,
    examples,
)
from torch_geometric_dsom.cli.run_folder import RunFolder
from torch_geometric_dsom.report import explanation_page
from torch_geometric_dsom.report.template import write_page
from torch_geometric_dsom.trainer import explain as explain_fact


def explain(
    run: RunOption,
    head: Annotated[str, typer.Option(help="Id or label of the head.")],
    relation: Annotated[str, typer.Option(help="Id or label of the relation.")],
    tail: Annotated[str, typer.Option(help="Id or label of the tail.")],
    asked: Annotated[str, typer.Option(help="tail or head: which of them is the answer.")] = "tail",
    k: Annotated[int, typer.Option("-k", help="Number of best answers of each.")] = 3,
    dataset: RunDatasetOption = None,
    root: RootOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what each teacher thinks of a fact, which teachers the agent takes for it, and what the students think."""
    folder = RunFolder(run)
    data = folder.data(dataset, root)
    told = explain_fact(folder.trainer(), data, head, relation, tail, asked, k)
    if html is not None:
        write_page(html, explanation_page(told, folder.gallery(data, dataset)))
        print(f"page: {html}", file=sys.stderr)
    print(json.dumps(told.to_dict()) if as_json else told)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    fact = "explain --run runs/mine --head territory:CH --relation official_language --tail language:de"
    app.command(epilog=examples(fact, f"{fact} --html why.html"))(explain)
