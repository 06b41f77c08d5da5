"""``train``: from a graph to a run folder."""

from __future__ import annotations

import json
import platform
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import torch_geometric
import typer
import yaml
from rich.console import Console
from rich.table import Table
from torch_geometric.data import Data

from torch_geometric_dsom.cli.app import TERMINATED
from torch_geometric_dsom.cli.configuration import Layer, RunConfig, parse_options, read_file, resolve
from torch_geometric_dsom.cli.options import (
    GRAPH,
    OUTPUT,
    RUN,
    ImageEncoderOption,
    ImageFeaturesOption,
    JsonOption,
    RootOption,
    TextEncoderOption,
    TextFeaturesOption,
    examples,
)
from torch_geometric_dsom.cli.progress import RunProgress, phases_of
from torch_geometric_dsom.cli.run_folder import CHECKPOINTS, CONFIG, HISTORY, MODEL, RESULTS, TABLE, RunFolder
from torch_geometric_dsom.datasets import load_dataset
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.trackers import CSVTracker, JSONLinesTracker, TensorBoardTracker, Tracker, WandbTracker
from torch_geometric_dsom.trainer import DSoMTrainer, compare, next_teachers, recommended
from torch_geometric_dsom.version import __version__

TRACKERS = ("csv", "jsonl", "tensorboard", "wandb")


def train(
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of the dataset, or a folder with train.tsv; EmojiWorld if not given.",
            rich_help_panel=GRAPH,
            show_default=False,
        ),
    ] = None,
    root: RootOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; runs/<dataset>-seed<seed> if not given.", rich_help_panel=RUN, show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="File with the configuration, YAML or JSON, such as config.json of another run; flags win over it.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any value of the configuration, as name=value or part.name=value; may repeat.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of everything that is drawn.", rich_help_panel=RUN, show_default="0")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the student at most.", rich_help_panel=RUN, show_default=False)
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="Complex dimensions.", rich_help_panel=RUN, show_default=False)
    ] = None,
    with_baseline: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Also train the CE-only student.",
            rich_help_panel=RUN,
            show_default="no-compare",
        ),
    ] = None,
    taught_by: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder, or saved student, whose student is to be a teacher, together with guides, instead of "
            "teachers of its own, whose options are not used then; may repeat.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of the folder, if there is one.", rich_help_panel=RUN)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run of the folder, if there is one.", rich_help_panel=RUN)
    ] = False,
    checkpoint_every: Annotated[
        int, typer.Option(help="Epochs between two checkpoints.", min=1, rich_help_panel=RUN)
    ] = 1,
    device: Annotated[
        str | None,
        typer.Option(help="Where to train, such as cpu or cuda:0.", rich_help_panel=RUN, show_default=False),
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Where the numbers of each epoch go as well: {', '.join(TRACKERS)}; may repeat.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    image_encoder: ImageEncoderOption = None,
    text_encoder: TextEncoderOption = None,
    image_features: ImageFeaturesOption = None,
    text_features: TextFeaturesOption = None,
    show_config: Annotated[
        bool,
        typer.Option(
            "--show-config", help="Print the configuration as it would be used, and leave.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train teachers and student on a graph and leave a run folder with model, results and configuration.

    Values come from the library's defaults, then from what is recommended for the dataset, then from --config, then
    from flags; the last one wins.
    """
    given = {
        "dataset": dataset,
        "root": root,
        "seed": seed,
        "compare": with_baseline,
        "image_encoder": image_encoder,
        "text_encoder": text_encoder,
        "image_features": image_features,
        "text_features": text_features,
        "rank": rank,
        "student_fit": None if epochs is None else {"epochs": epochs},
        "taught_by": None if not taught_by else [str(path) for path in taught_by],
    }
    flags = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    flags = {name: value for name, value in flags.items() if value is not None}
    above = [] if config is None else [read_file(config)]
    above += [Layer("flag", flags), Layer("flag", parse_options(set_ or []))]
    settings = resolve(above)
    below = [Layer("recommended", recommended(settings.dataset))]
    folder = RunFolder(out if out is not None else Path("runs") / f"{Path(settings.dataset).name}-seed{settings.seed}")
    below += folder.layers() if resume else []
    settings = _absolute(resolve([*below, *above]))
    if show_config:
        values = settings.to_dict()
        print(json.dumps(values) if as_json else yaml.safe_dump(values, sort_keys=False).rstrip())
        return
    folder.check(settings, resume, overwrite)
    trackers = [_tracker(name, folder, settings) for name in tracker or []]
    trainer = DSoMTrainer(
        settings.seed,
        settings.options,
        device=device,
        progress=False,
        trackers=trackers,
        checkpoint_dir=folder.path / CHECKPOINTS,
        resume=True,
        checkpoint_every=checkpoint_every,
    )
    data = load_dataset(**settings.graph)
    trainer.teachers = dict(_teachers(settings, data))
    if overwrite:
        folder.clear()
    folder.write(CONFIG, json.dumps(settings.to_dict(), indent=1) + "\n")
    _tell(settings, folder)
    phases = phases_of(data, settings.options, settings.compare, taught=bool(trainer.teachers))
    with _terminable(folder), trainer.tracked(), RunProgress(phases) as progress:
        trainer.fit(data, on_epoch=progress)
        if settings.compare:
            trainer.fit_baseline(data, on_epoch=progress)
    comparison = compare(trainer, data)
    results = {
        "dataset": settings.dataset,
        "seed": settings.seed,
        "config": settings.options.to_dict(),
        "best": {phase: {"epoch": fit.best_epoch, "val_mrr": fit.best_mrr} for phase, fit in trainer.results.items()},
        "test": comparison.to_dict(),
        "seconds": round(sum(float(record["seconds"]) for record in trainer.history), 1),
        "versions": {
            "torch_geometric_dsom": __version__,
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "device": str(trainer.device),
            "threads": torch.get_num_threads(),
        },
    }
    trainer.save(folder.path / MODEL)
    folder.write(HISTORY, "".join(json.dumps(record) + "\n" for record in trainer.history))
    folder.write(TABLE, f"{comparison}\n")
    folder.write(RESULTS, json.dumps(results, indent=1) + "\n")
    print(json.dumps(results) if as_json else comparison)
    print(f"{results['seconds']} s of training; run folder: {folder.path}", file=sys.stderr)


def _absolute(settings: RunConfig) -> RunConfig:
    """Paths as they are from anywhere."""
    paths = {name: getattr(settings, name) for name in ("root", "image_features", "text_features")}
    paths["dataset"] = settings.dataset if Path(settings.dataset).is_dir() else None
    full = {name: str(Path(path).expanduser().absolute()) for name, path in paths.items() if path is not None}
    taught_by = [str(Path(path).expanduser().absolute()) for path in settings.taught_by]
    return replace(settings, taught_by=taught_by, **full)  # type: ignore[arg-type]


def _teachers(settings: RunConfig, data: Data) -> Mapping[str, TailScorer]:
    """Students of other runs as teachers; none where the run trains its own."""
    if not settings.taught_by:
        return {}
    if settings.options.crossfit:
        raise ConfigError(f"--taught-by: students know all training facts, got crossfit={settings.options.crossfit}")
    print(f"--taught-by: asking {len(settings.taught_by)} students together with guides", file=sys.stderr)
    students = [RunFolder(Path(path)).student() for path in settings.taught_by]
    return next_teachers(students, data, calibrate=settings.options.calibrate)


def _tell(settings: RunConfig, folder: RunFolder) -> None:
    """What was chosen by anyone, on stderr; the whole is in the run folder."""
    console = Console(stderr=True)
    chosen = settings.chosen()
    if not console.is_terminal:
        told = ", ".join(f"{name}={value} ({source})" for name, (value, source) in chosen.items())
        print(f"{told or 'library defaults'}; all values: {folder.path / CONFIG}", file=sys.stderr)
        return
    table = Table(title=f"configuration, all of it in {folder.path / CONFIG}", title_justify="left", box=None)
    for column in ("name", "value", "from"):
        table.add_column(column)
    table.add_row("dataset", settings.dataset, settings.sources.get("dataset", "library"))
    for name, (value, source) in chosen.items():
        if name != "dataset":
            table.add_row(name, str(value), source)
    table.add_row("everything else", "", "library", style="dim")
    console.print(table)


def _tracker(name: str, folder: RunFolder, settings: RunConfig) -> Tracker:
    if name == "csv":
        return CSVTracker(folder.path / "tracked.csv")
    if name == "jsonl":
        return JSONLinesTracker(folder.path / "tracked.jsonl")
    if name == "tensorboard":
        return TensorBoardTracker(folder.path / "tensorboard")
    if name == "wandb":
        return WandbTracker("torch_geometric_dsom", config={"dataset": settings.dataset}, dir=str(folder.path))
    raise ConfigError(f"--tracker: expected one of {list(TRACKERS)}, got '{name}'")


@contextmanager
def _terminable(folder: RunFolder) -> Iterator[None]:
    """SIGTERM leaves with its code also between phases, and Ctrl-C says how to go on."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # only the main thread may
        yield
        return
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print(f"to go on: torch-geometric-dsom train --out {folder.path} --resume", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    told = examples(
        "train --dataset EmojiWorld --compare --out runs/mine",
        "train --dataset path/to/folder --set gamma=1.0 --set student_fit.lr=0.1 --out runs/folder",
        "train --out runs/mine --resume",
        "train --config runs/mine/config.json --seed 1 --out runs/again",
        "train --dataset EmojiWorld --taught-by runs/mine --taught-by runs/again --out runs/next",
    )
    app.command(epilog=told)(train)
