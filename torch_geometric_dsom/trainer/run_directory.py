"""A directory that a run is kept in: what is finished, where it is, and who works on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.state_tree import join_tree, split_tree
from torch_geometric_dsom.trainer.storage import MANIFEST, load_directory, save_directory


class RunDirectory:
    """Finished phases of a run and the last checkpoints of the one that runs, each a directory with a manifest.

    Args:
        path (path): The directory; made where it is missing.
        identity (dict): What the run depends on, plain values by name; a run of another identity is not touched.
        resume (bool): Whether to go on with the run that is there. (default: :obj:`False`)
        keep (int): How many checkpoints are kept. (default: :obj:`2`)

    Raises:
        CheckpointError: If the directory cannot be used: it holds something else, a run although :obj:`resume` is not
            set, or the run of another identity.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = RunDirectory(folder, {"seed": 0})
        ...     with run.locked():
        ...         run.save({"epoch": 1}), run.save({"epoch": 2}), run.finish("teacher", {"mrr": 0.5})
        ...     again = RunDirectory(folder, {"seed": 0}, resume=True)
        ...     again.finished("teacher"), again.latest()
        (None, None, None)
        ({'mrr': 0.5}, None)
    """

    def __init__(
        self, path: str | os.PathLike[str], identity: Mapping[str, Any], resume: bool = False, keep: int = 2
    ) -> None:
        self.path = Path(path).absolute()
        self.identity = dict(identity)
        self.resume = resume
        self.keep = keep
        self._lock: FileLock | None = None

    @contextmanager
    def locked(self) -> Iterator[RunDirectory]:
        """Keeps others from working on the run; may be entered again by who has entered it.

        Raises:
            CheckpointError: If another process works on it, or it is not a run that we may go on with.
        """
        if self._lock is not None:
            yield self
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise CheckpointError(f"{self.path}: another process works on this run") from error
        except OSError as error:
            raise CheckpointError(f"{self.path}: could not be written: {error}") from error
        self._lock = lock
        try:
            self._check()
            yield self
        finally:
            self._lock = None
            lock.release()

    def _check(self) -> None:
        """Refuses a directory that is not the run that was asked for; marks a new one as ours."""
        mark = self.path / "identity"
        if not (mark / MANIFEST).exists():
            strangers = {path.name for path in self.path.iterdir()} - {".lock", "identity"}
            if strangers:
                raise CheckpointError(
                    f"{self.path}: expected a new directory or an older run, found {sorted(strangers)[0]!r}"
                )
            save_directory(mark, self.identity, {})
            return
        if not self.resume:
            raise CheckpointError(f"{self.path}: holds a run already; set resume=True to go on with it")
        found, _ = load_directory(mark)
        for name in {**self.identity, **found}:
            if self.identity.get(name) != found.get(name):
                raise CheckpointError(
                    f"{self.path}: the run there has {name}={found.get(name)!r}, got {self.identity.get(name)!r}"
                )
        self.resume = True

    def finished(self, phase: str) -> dict[str, Any] | None:
        """What :meth:`finish` was given for a phase; nothing if it is not finished."""
        place = self._phase(phase)
        return self._load(place) if (place / MANIFEST).exists() else None

    def finish(self, phase: str, tree: Mapping[str, Any]) -> None:
        """Keeps the result of a phase; its checkpoints go."""
        self.resume = True
        self._save(self._phase(phase), tree)
        self._drop(self.checkpoints())

    def checkpoints(self) -> list[Path]:
        """The checkpoints that are whole, oldest first."""
        return sorted(path.parent for path in (self.path / "checkpoints").glob(f"[0-9]*/{MANIFEST}"))

    def latest(self) -> dict[str, Any] | None:
        """What was saved last; nothing if there is nothing.

        Raises:
            CheckpointError: If it is damaged.
        """
        found = self.checkpoints()
        return self._load(found[-1]) if found else None

    def save(self, tree: Mapping[str, Any]) -> None:
        """Keeps a state beside those before; the oldest go when the new one is on the disk."""
        self.resume = True
        found = self.checkpoints()
        number = int(found[-1].name) + 1 if found else 1
        self._save(self.path / "checkpoints" / f"{number:08d}", tree)
        self._drop(self.checkpoints()[: -self.keep])

    def _phase(self, phase: str) -> Path:
        return self.path / "phases" / quote(phase, safe="")

    @staticmethod
    def _save(place: Path, tree: Mapping[str, Any]) -> None:
        plain, tensors = split_tree(tree)
        save_directory(place, plain, tensors)

    @staticmethod
    def _load(place: Path) -> dict[str, Any]:
        meta, tensors = load_directory(place)
        try:
            return dict(join_tree(meta, tensors))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{place}: not a readable checkpoint: {error!r}") from error

    @staticmethod
    def _drop(places: list[Path]) -> None:
        for place in places:
            (place / MANIFEST).unlink(missing_ok=True)  # what is half gone is no checkpoint
            shutil.rmtree(place, ignore_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"
