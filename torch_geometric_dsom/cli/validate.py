"""``validate``: what may be wrong with a graph."""

from __future__ import annotations

import json

import typer

from torch_geometric_dsom.cli.options import (
    DatasetArgument,
    ImageEncoderOption,
    ImageFeaturesOption,
    JsonOption,
    RootOption,
    TextEncoderOption,
    TextFeaturesOption,
    examples,
)
from torch_geometric_dsom.data import validate as validate_graph
from torch_geometric_dsom.datasets import load_dataset


def validate(
    dataset: DatasetArgument,
    root: RootOption = None,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what may be wrong with a graph: duplicates, overlaps, leakage, unseen entities, features."""
    report = validate_graph(load_dataset(dataset, root, image_encoder, text_encoder, image_features, text_features))
    print(json.dumps(report.to_dict()) if as_json else report)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog=examples("validate EmojiWorld", "validate path/to/folder --json"))(validate)
