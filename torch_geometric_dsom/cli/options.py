"""Options that several commands share, and how a command tells its examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GRAPH, RUN, OUTPUT = "Graph", "Run", "Output"

DatasetArgument = Annotated[str, typer.Argument(help="Name of the dataset, or a folder with train.tsv.")]
RootOption = Annotated[
    Path | None, typer.Option(help="Where the dataset's files are kept.", rich_help_panel=GRAPH, show_default=False)
]
ImageEncoderOption = Annotated[
    str | None,
    typer.Option(
        help="Encoder of pictures: auto, none, efficientnet-lite0, pixels, timm:MODEL, hf:MODEL.",
        rich_help_panel=GRAPH,
        show_default=False,
    ),
]
TextEncoderOption = Annotated[
    str | None,
    typer.Option(
        help="Encoder of texts: auto, none, minilm, ngrams, sentence:MODEL, hf:MODEL.",
        rich_help_panel=GRAPH,
        show_default=False,
    ),
]
ImageFeaturesOption = Annotated[
    Path | None,
    typer.Option(
        help="File of published features of pictures; see convert for their ids.",
        rich_help_panel=GRAPH,
        show_default=False,
    ),
]
TextFeaturesOption = Annotated[
    Path | None,
    typer.Option(help="File of published features of texts.", rich_help_panel=GRAPH, show_default=False),
]
RunOption = Annotated[
    Path, typer.Option(help="Folder that train left, or that trainer.save wrote.", rich_help_panel=RUN)
]
RunDatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Name of the dataset, or a folder; that of the run if not given.",
        rich_help_panel=GRAPH,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", rich_help_panel=OUTPUT)]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html", help="Also write a page with pictures to this file.", rich_help_panel=OUTPUT, show_default=False
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help.

    Args:
        *lines (str): Commands without the program's name.

    Example:
        >>> print(examples("datasets", "datasets --json"))
        Examples:
        <BLANKLINE>
        torch-geometric-dsom datasets
        <BLANKLINE>
        torch-geometric-dsom datasets --json
    """
    return "\n\n".join(["Examples:", *(f"torch-geometric-dsom {line}" for line in lines)])
