"""``predict``: answers to a question."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from torch_geometric.data import Data

from torch_geometric_dsom.cli.options import HtmlOption, JsonOption, RootOption, RunDatasetOption, RunOption, examples
from torch_geometric_dsom.cli.run_folder import RunFolder
from torch_geometric_dsom.errors import DSoMError
from torch_geometric_dsom.report import answers_page
from torch_geometric_dsom.report.template import write_page
from torch_geometric_dsom.trainer import Prediction


def predict(
    run: RunOption,
    relation: Annotated[str, typer.Option(help="Id or label of the relation.")],
    head: Annotated[
        str | None, typer.Option(help="Id or label of the head, to ask for tails.", show_default=False)
    ] = None,
    tail: Annotated[
        str | None, typer.Option(help="Id or label of the tail, to ask for heads.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of answers.")] = 10,
    known: Annotated[bool, typer.Option("--known", help="Show known facts too, marked.")] = False,
    guided: Annotated[bool, typer.Option("--guided", help="Ask the student together with what guide kept.")] = False,
    dataset: RunDatasetOption = None,
    root: RootOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer (head, relation, ?) or (?, relation, tail) with the student of a run; no features are needed.

    Facts that training knows are left out; the run's dataset is read for that.
    """
    folder = RunFolder(run)
    model = folder.guided() if guided else folder.trainer()
    wanted = dataset is not None or html is not None
    data = folder.data(dataset, root, features=False) if wanted else _graph(folder, root)
    answers = model.predict(data, head=head, relation=relation, tail=tail, k=k, exclude_known=not known)
    if html is not None:
        assert data is not None
        write_page(html, answers_page(answers, data, relation, head, tail, folder.gallery(data, dataset)))
        print(f"page: {html}", file=sys.stderr)
    if as_json:
        print(json.dumps([answer._asdict() for answer in answers]))
    else:
        print(table(answers))


def _graph(folder: RunFolder, root: Path | None) -> Data | None:
    """The graph of the run; none, with a note, where it cannot be read."""
    try:
        return folder.data(None, root, features=False)
    except DSoMError as error:
        print(f"known facts are not left out: {error}", file=sys.stderr)
        return None


def table(answers: list[Prediction]) -> str:
    """Answers as lines of text."""
    lines = [f"{'rank':>4}  {'probability':>11}  {'score':>8}  answer"]
    for answer in answers:
        mark = "  known" if answer.known else ""
        numbers = f"{answer.rank:>4}  {answer.probability:>11.4f}  {answer.score:>8.3f}"
        lines.append(f"{numbers}  {answer.label} ({answer.id}){mark}")
    return "\n".join(lines)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    told = examples(
        "predict --run runs/mine --head territory:CH --relation official_language -k 3",
        "predict --run runs/mine --head territory:CH --relation borders --html answers.html",
        "predict --run runs/mine --tail territory:CH --relation located_in --known --json",
    )
    app.command(epilog=told)(predict)
