"""``report``: a run as one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from torch_geometric_dsom.cli.options import OUTPUT, JsonOption, RootOption, RunDatasetOption, RunOption, examples
from torch_geometric_dsom.cli.run_folder import PAGE, RESULTS, RunFolder
from torch_geometric_dsom.report import make_report
from torch_geometric_dsom.report.template import write_page


def report(
    run: RunOption,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page; report.html in the run folder if not given.", rich_help_panel=OUTPUT, show_default=False
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(help="Title of the page; the dataset's name if not given.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test: what is measured on.")] = "test",
    dataset: RunDatasetOption = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one page of a run that needs no network: results, curves, what the agent chose, where it helps, errors.

    With --json what it tells goes to stdout, and no page is written unless --out names it.
    """
    folder = RunFolder(run)
    data = folder.data(dataset, root)
    results = folder.read(RESULTS) or {}
    told = {**results.get("versions", {}), **results.get("machine", {})}
    environment = {name: str(value) for name, value in told.items()}
    name = title or Path(dataset or folder.config().dataset).name
    made = make_report(folder.trainer(), data, name, split, environment or None)
    if out is not None or not as_json:
        path = write_page(out or folder.path / PAGE, made.to_html(folder.gallery(data, dataset)))
    print(json.dumps(made.to_dict()) if as_json else path)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog=examples("report --run runs/mine", "report --run runs/mine --out mine.html"))(report)
