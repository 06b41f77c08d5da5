"""``convert``: features of any kind into one kind, datasets into folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torch_geometric_dsom.cli.options import (
    ImageEncoderOption,
    ImageFeaturesOption,
    RootOption,
    TextEncoderOption,
    TextFeaturesOption,
    examples,
)
from torch_geometric_dsom.datasets import load_dataset, read_features, read_names, write_features, write_folder
from torch_geometric_dsom.errors import ConfigError


def convert(
    source: Annotated[str, typer.Argument(help="A file of features, the name of a dataset, or a folder.")],
    target: Annotated[Path, typer.Argument(help="The .npz file to write, or the folder.")],
    ids: Annotated[
        Path | None, typer.Option(help="Text file with the entity of each row of features.", show_default=False)
    ] = None,
    key: Annotated[str | None, typer.Option(help="Which array of the file of features.", show_default=False)] = None,
    root: RootOption = None,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
) -> None:
    """Turn features of any kind into one .npz with x and ids, or a dataset into a folder of plain files."""
    if Path(source).is_file():
        features, names = read_features(source, key)
        path = write_features(target, features, names if ids is None else read_names(ids))
        print(f"{path}: {features.size(0)} rows of {features.size(1)} values")
        return
    if ids is not None or key is not None:
        raise ConfigError(f"--ids, --key: expected a file of features as source, got '{source}'")
    path = write_folder(load_dataset(source, root, image_encoder, text_encoder, image_features, text_features), target)
    print(f"{path}: {', '.join(sorted(str(file.relative_to(path)) for file in path.rglob('*') if file.is_file()))}")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    told = examples("convert EmojiWorld emoji-world", "convert vgg.pth image.npz --ids entities.txt")
    app.command(epilog=told)(convert)
