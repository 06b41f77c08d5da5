"""``datasets``: what there is by name."""

from __future__ import annotations

import json

import typer

from torch_geometric_dsom.cli.options import JsonOption, examples
from torch_geometric_dsom.datasets import DATASETS


def datasets(as_json: JsonOption = False) -> None:
    """List the datasets that have a name; train and validate take a folder as well."""
    lines = {name: (cls.__doc__ or "").strip().split("\n")[0] for name, cls in DATASETS.items()}
    width = max(map(len, lines))
    print(json.dumps(lines) if as_json else "\n".join(f"{name:<{width}}  {line}" for name, line in lines.items()))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog=examples("datasets", "datasets --json"))(datasets)
