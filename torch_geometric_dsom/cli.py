"""Command line: datasets, validate, convert, train, evaluate, predict. Whatever it does is a public function too."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import torch_geometric
import typer
from torch_geometric.data import Data

from torch_geometric_dsom.data import validate as validate_graph
from torch_geometric_dsom.datasets import (
    DATASETS,
    load_dataset,
    read_features,
    read_names,
    write_features,
    write_folder,
)
from torch_geometric_dsom.errors import ConfigError, DSoMError
from torch_geometric_dsom.trainer import DSoMTrainer, compare
from torch_geometric_dsom.trainer.fit import Record
from torch_geometric_dsom.version import __version__

app = typer.Typer(
    name="torch-geometric-dsom",
    help="Reinforced multimodal distillation for knowledge graph reasoning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
NO_FEATURES = {"image_encoder": "none", "text_encoder": "none"}  # a student needs none
MODEL, RESULTS, TABLE, HISTORY = "model", "results.json", "results.txt", "history.jsonl"

DatasetOption = Annotated[str, typer.Option(help="Name of the dataset, or a folder with train.tsv.")]
RootOption = Annotated[Path | None, typer.Option(help="Where the dataset's files are kept.")]
ImageEncoderOption = Annotated[
    str | None, typer.Option(help="Encoder of pictures: auto, none, efficientnet-lite0, pixels, timm:MODEL, hf:MODEL.")
]
TextEncoderOption = Annotated[
    str | None, typer.Option(help="Encoder of texts: auto, none, minilm, ngrams, sentence:MODEL, hf:MODEL.")
]
ImageFeaturesOption = Annotated[
    Path | None, typer.Option(help="File of published features of pictures; see convert for their ids.")
]
TextFeaturesOption = Annotated[Path | None, typer.Option(help="File of published features of texts.")]
RunOption = Annotated[Path, typer.Option(help="Folder that train left.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; an error of ours is one line on stderr and exit code 2."""
    try:
        app(arguments)
    except DSoMError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Reinforced multimodal distillation for knowledge graph reasoning."""


@app.command()
def train(
    dataset: DatasetOption = "EmojiWorld",
    root: RootOption = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/<dataset>-seed<seed> if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the student at most.")] = None,
    rank: Annotated[int | None, typer.Option(help="Complex dimensions.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any value of the configuration, as name=value; may repeat.")
    ] = None,
    with_baseline: Annotated[
        bool, typer.Option("--compare", help="Also train the CE-only student and print the table.")
    ] = False,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train teachers and student on a dataset and leave a run folder.

    Example: torch-geometric-dsom train --dataset EmojiWorld --compare --set student_fit.lr=0.1 --out runs/mine
    """
    options = parse_options(set_ or [])
    if rank is not None:
        options["rank"] = rank
    trainer = DSoMTrainer(seed=seed, **options)
    if epochs is not None and epochs < 1:
        raise ConfigError(f"epochs: expected a positive number, got {epochs}")
    out = out if out is not None else Path("runs") / f"{Path(dataset).name}-seed{seed}"
    check_run_folder(out)
    data = load_dataset(dataset, root, image_encoder, text_encoder, image_features, text_features)

    start = time.time()
    report = _report if not sys.stderr.isatty() else None
    trainer.fit(data, epochs=epochs, on_epoch=report)
    if with_baseline:
        trainer.fit_baseline(data, epochs=epochs, on_epoch=report)
    comparison = compare(trainer, data)
    results = {
        "dataset": dataset,
        "seed": seed,
        "config": trainer.config.to_dict(),
        "best": {phase: {"epoch": fit.best_epoch, "val_mrr": fit.best_mrr} for phase, fit in trainer.results.items()},
        "test": comparison.to_dict(),
        "seconds": round(time.time() - start, 1),
        "versions": {
            "torch_geometric_dsom": __version__,
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "python": platform.python_version(),
        },
    }
    trainer.save(out / MODEL)
    write_text(out / HISTORY, "".join(json.dumps(record) + "\n" for record in trainer.history))
    write_text(out / TABLE, f"{comparison}\n")
    write_text(out / RESULTS, json.dumps(results, indent=1) + "\n")
    print(json.dumps(results) if as_json else f"{comparison}\n{results['seconds']} s; run folder: {out}")


@app.command()
def datasets(as_json: JsonOption = False) -> None:
    """List the datasets that have a name; train and validate take a folder as well.

    Example: torch-geometric-dsom datasets
    """
    lines = {name: (cls.__doc__ or "").strip().split("\n")[0] for name, cls in DATASETS.items()}
    width = max(map(len, lines))
    print(json.dumps(lines) if as_json else "\n".join(f"{name:<{width}}  {line}" for name, line in lines.items()))


@app.command()
def validate(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset, or a folder with train.tsv.")],
    root: RootOption = None,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what may be wrong with a graph: duplicates, overlaps, leakage, unseen entities, features.

    Example: torch-geometric-dsom validate EmojiWorld
    """
    report = validate_graph(load_dataset(dataset, root, image_encoder, text_encoder, image_features, text_features))
    print(json.dumps(report.to_dict()) if as_json else report)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A file of features, the name of a dataset, or a folder.")],
    target: Annotated[Path, typer.Argument(help="The .npz file to write, or the folder.")],
    ids: Annotated[Path | None, typer.Option(help="Text file with the entity of each row of features.")] = None,
    key: Annotated[str | None, typer.Option(help="Which array of the file of features.")] = None,
    root: RootOption = None,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
) -> None:
    """Turn features of any kind into one .npz with x and ids, or a dataset into a folder of plain files.

    Examples: torch-geometric-dsom convert vgg.pth image.npz --ids entities.txt; torch-geometric-dsom convert DB15K out
    """
    if Path(source).is_file():
        features, names = read_features(source, key)
        path = write_features(target, features, names if ids is None else read_names(ids))
        print(f"{path}: {features.size(0)} rows of {features.size(1)} values")
        return
    if ids is not None or key is not None:
        raise ConfigError(f"--ids, --key: expected a file of features as source, got '{source}'")
    path = write_folder(load_dataset(source, root, image_encoder, text_encoder, image_features, text_features), target)
    print(f"{path}: {', '.join(sorted(str(file.relative_to(path)) for file in path.rglob('*') if file.is_file()))}")


@app.command()
def evaluate(
    run: RunOption,
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset; that of the run if not given.")] = None,
    root: RootOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Rank the facts of a split with the student of a run.

    Example: torch-geometric-dsom evaluate --run runs/mine --split val
    """
    trainer = DSoMTrainer.load(run / MODEL)
    data = load_dataset(dataset or run_dataset(run), root, **NO_FEATURES)
    result = trainer.evaluate(data, split=split)
    print(json.dumps(result.to_dict()) if as_json else result)


@app.command()
def predict(
    run: RunOption,
    relation: Annotated[str, typer.Option(help="Id or label of the relation.")],
    head: Annotated[str | None, typer.Option(help="Id or label of the head, to ask for tails.")] = None,
    tail: Annotated[str | None, typer.Option(help="Id or label of the tail, to ask for heads.")] = None,
    k: Annotated[int, typer.Option("-k", help="Number of answers.")] = 10,
    dataset: Annotated[str | None, typer.Option(help="Leave out the known facts of this dataset.")] = None,
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer (head, relation, ?) or (?, relation, tail) with the student of a run; no features are needed.

    Example: torch-geometric-dsom predict --run runs/mine --head territory:CH --relation official_language -k 3
    """
    trainer = DSoMTrainer.load(run / MODEL)
    data: Data | None = load_dataset(dataset, root, **NO_FEATURES) if dataset is not None else None
    answers = trainer.predict(data, head=head, relation=relation, tail=tail, k=k)
    if as_json:
        print(json.dumps([answer._asdict() for answer in answers]))
        return
    print(f"{'rank':>4}  {'probability':>11}  {'score':>8}  answer")
    for answer in answers:
        print(f"{answer.rank:>4}  {answer.probability:>11.4f}  {answer.score:>8.3f}  {answer.label} ({answer.id})")
    if data is None:
        print("known facts are not left out; name the --dataset for that", file=sys.stderr)


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """Reads ``name=value`` and ``part.name=value``; values are JSON, or text where they are no JSON.

    Args:
        pairs (list[str]): What was given.

    Returns:
        dict: Options by name, nested where a name has a dot.

    Raises:
        ConfigError: If a pair has no ``=``.

    Example:
        >>> parse_options(["rank=8", "student_fit.lr=0.1", "neighbors=none"])
        {'rank': 8, 'student_fit': {'lr': 0.1}, 'neighbors': 'none'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set: expected name=value, got '{pair}'")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        place = options
        *parts, last = name.split(".")
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set: '{part}' was given a value already, got '{pair}'")
        place[last] = value
    return options


def check_run_folder(out: Path) -> None:
    """Refuses a folder that holds something else than an older run.

    Raises:
        ConfigError: If it does.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RESULTS).is_file())):
        raise ConfigError(f"--out: expected a new folder or an older run, '{out}' holds something else; left as it was")


def run_dataset(run: Path) -> str:
    """Name of the dataset that a run was trained on.

    Raises:
        ConfigError: If the run does not tell.
    """
    try:
        name: str = json.loads((run / RESULTS).read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--run: '{run / RESULTS}' does not tell the dataset ({error}); give --dataset") from error
    return name


def write_text(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(name, path)


def _report(record: Record) -> None:
    """One plain line for each validation, where there is no terminal for a progress bar."""
    if "val_mrr" in record:
        line = f"{record['phase']}: epoch {record['epoch']}, loss {record['loss']:.4f}"
        print(f"{line}, validation MRR {record['val_mrr']:.4f}", file=sys.stderr, flush=True)
