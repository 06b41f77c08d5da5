"""The folder of a run: what is in it, who may write there, how it is read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from torch_geometric_dsom.cli.configuration import Layer, RunConfig, flat, read_file, resolve
from torch_geometric_dsom.datasets import Gallery, load_dataset
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.trainer import DSoMTrainer, Student

CONFIG, MODEL, CHECKPOINTS, GUIDED = "config.json", "model", "checkpoints", "guided"
RESULTS, TABLE, HISTORY, PAGE = "results.json", "results.txt", "history.jsonl", "report.html"
TRACKED = ("tracked.csv", "tracked.jsonl", "tensorboard")
MAY_CHANGE = ("compare", "root")
OURS = (CONFIG, MODEL, CHECKPOINTS, GUIDED, RESULTS, TABLE, HISTORY, PAGE, *TRACKED)


@dataclass(frozen=True)
class RunFolder:
    """A folder that ``train`` writes, or that :meth:`~torch_geometric_dsom.DSoMTrainer.save` wrote.

    Args:
        path (Path): The folder.
    """

    path: Path

    def check(self, settings: RunConfig, resume: bool, overwrite: bool) -> None:
        """Refuses to write where something else is, or a run that nobody asked to go on with or to replace.

        Args:
            settings (RunConfig): The configuration of the run that is to be written.
            resume (bool): Whether to go on with a run.
            overwrite (bool): Whether to replace it.

        Raises:
            ConfigError: If so; nothing was touched.
        """
        if resume and overwrite:
            raise ConfigError("--resume, --overwrite: expected one of them, got both")
        if not self.path.exists():
            return
        there = {path.name for path in self.path.iterdir()} if self.path.is_dir() else {"no folder"}
        if there and not (there & {CONFIG, RESULTS}):
            raise ConfigError(
                f"--out: expected a new folder or an older run, '{self.path}' holds something else; left as it was"
            )
        if there and not (resume or overwrite):
            raise ConfigError(f"--out: '{self.path}' holds a run; --resume goes on with it, --overwrite starts it anew")

        if resume and self.layers():
            was, now = flat(self.config().to_dict()), flat(settings.to_dict())
            changed = [name for name in now if name not in MAY_CHANGE and was[name] != now[name]]
            if changed:
                name = changed[0]
                raise ConfigError(f"--resume: the run in '{self.path}' has {name}={was[name]!r}, got {now[name]!r}")

    def clear(self) -> None:
        """Removes an older run; files of others stay."""
        for name in OURS:
            place = self.path / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def layers(self) -> list[Layer]:
        """The configuration that the run has, as a layer; none where it has none."""
        place = self.path / CONFIG
        return [read_file(place)._replace(source="run")] if place.is_file() else []

    def config(self) -> RunConfig:
        """The configuration that the run has; the library's defaults where it tells none."""
        return resolve(self.layers())

    def trainer(self) -> DSoMTrainer:
        """The trained trainer.

        Raises:
            CheckpointError: If there is none, or it is damaged.
        """
        return DSoMTrainer.load(self._model)

    def student(self) -> Student:
        """The trained student alone.

        Raises:
            CheckpointError: If there is none, or it is damaged.
        """
        return Student.load(self._model)

    def guided(self) -> Student:
        """The student together with the guides that the command ``guide`` found.

        Raises:
            ConfigError: If there is none.
            CheckpointError: If it is damaged.
        """
        if not (self.path / GUIDED).exists():
            raise ConfigError(f"--run: '{self.path}' has no student with guides; the command guide makes one")
        return Student.load(self.path / GUIDED)

    @property
    def _model(self) -> Path:
        model = self.path / MODEL
        return self.path if not model.exists() and (self.path / "manifest.json").exists() else model

    def data(self, dataset: str | None = None, root: Path | None = None, features: bool = True) -> Data:
        """The graph of the run, or another one.

        Args:
            dataset (str, optional): Name or folder of another one.
            root (Path, optional): Where its files are kept.
            features (bool): Whether modalities are wanted as well. (default: :obj:`True`)

        Raises:
            ConfigError: If the run does not tell its dataset and none is given.
        """
        arguments: dict[str, Any]
        if dataset is not None:
            arguments = {"name": dataset, "root": root}
        elif self.layers():
            arguments = self.config().graph
            arguments["root"] = root if root is not None else arguments["root"]
        else:
            raise ConfigError(f"--run: '{self.path / CONFIG}' does not tell the dataset; give --dataset")
        if not features:
            arguments |= {"image_encoder": "none", "text_encoder": "none"}
            arguments |= {"image_features": None, "text_features": None}
        return load_dataset(**arguments)

    def gallery(self, data: Data, dataset: str | None = None) -> Gallery:
        """Pictures of the entities of the graph that :meth:`data` gave."""
        return Gallery.of(dataset if dataset is not None else self.config().dataset, data)

    def write(self, name: str, text: str) -> Path:
        """Writes a file as a whole or not at all."""
        return write_text(self.path / name, text)

    def read(self, name: str) -> Any:
        """What a JSON file of the run holds; :obj:`None` where it is not there.

        Raises:
            ConfigError: If it is damaged.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"--run: '{self.path / name}' cannot be read ({error})") from error


def write_text(path: Path, text: str) -> Path:
    """Writes a file as a whole or not at all.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp's own is for the owner alone
        os.replace(name, path)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written ({error})") from error
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
