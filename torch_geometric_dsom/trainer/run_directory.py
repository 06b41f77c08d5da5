"""A directory that a run is kept in: what is finished, where it is, and who works on it."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.trainer.state_tree import join_tree, split_tree
from torch_geometric_dsom.trainer.storage import MANIFEST, load_directory, save_directory


class RunDirectory:
    """Finished phases of a run and the last checkpoints of the one that runs, each a directory with a manifest.

    Args:
        path (path): The directory; made where it is missing.
        identity (dict): What the run depends on, plain values by name; a run of another identity is not touched.
        resume (bool): Whether to go on with the run that is there. (default: :obj:`False`)
        keep (int): How many checkpoints of a phase are kept. (default: :obj:`2`)
        world (World): The processes of the run, which all see the directory; the first one alone writes.
            (default: this one alone)
        defaults (dict, optional): What counts where a run that is there already does not name something, such as the
            defaults of options that there were none of when it was begun.

    Raises:
        ConfigError: If :obj:`keep` is below one.
        CheckpointError: If the directory cannot be used: it holds something else, a run although :obj:`resume` is not
            set, or the run of another identity.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = RunDirectory(folder, {"seed": 0})
        ...     with run.locked():
        ...         run.save("teacher", {"epoch": 1}), run.finish("teacher", {"mrr": 0.5})
        ...         run.save("student", {"epoch": 1})
        ...     again = RunDirectory(folder, {"seed": 0}, resume=True)
        ...     again.finished("teacher"), again.latest("teacher"), again.latest("student")
        (None, None)
        ({'mrr': 0.5}, None, {'epoch': 1})
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Mapping[str, Any],
        resume: bool = False,
        keep: int = 2,
        world: World = ALONE,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        if keep < 1:
            raise ConfigError(f"keep: expected a positive number, got {keep}")
        self.path = Path(path).absolute()
        self.identity = dict(identity)
        self.resume = resume
        self.keep = keep
        self.world = world
        self.defaults = dict(defaults) if defaults is not None else {}
        self._damaged: set[Path] = set()
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
        if not self.world.is_first:
            self.world.barrier()  # the first one has looked whether the run may be touched
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
            self.world.barrier()
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
            default = self.defaults.get(name)  # of options that there were none of when the run was begun
            there, here = found.get(name, default), self.identity.get(name, default)
            if there != here:
                raise CheckpointError(f"{self.path}: the run there has {name}={there!r}, got {here!r}")
        self.resume = True

    def finished(self, phase: str) -> dict[str, Any] | None:
        """What :meth:`finish` was given for a phase; nothing if it is not finished.

        Raises:
            CheckpointError: If it is damaged.
        """
        place = self._of("phases", phase)
        if not (place / MANIFEST).exists():
            return None
        try:
            return self._load(place)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; remove {place} to train '{phase}' again") from error

    def finish(self, phase: str, tree: Mapping[str, Any]) -> None:
        """Keeps the result of a phase; its checkpoints go."""
        self.resume = True
        if self.world.is_first:
            self._save(self._of("phases", phase), tree)
        self.forget(phase)

    def forget(self, phase: str) -> None:
        """Removes the checkpoints of a phase."""
        if self.world.is_first:
            self._drop(self._of("checkpoints", phase), keep=())
        self.world.barrier()  # what the others read next is whole

    def checkpoints(self, phase: str) -> list[Path]:
        """The checkpoints of a phase that were written to the end and are not known to be damaged, oldest first."""
        found = (path.parent for path in self._of("checkpoints", phase).glob(f"[0-9]*/{MANIFEST}"))
        return sorted(path for path in found if path not in self._damaged)

    def latest(self, phase: str) -> dict[str, Any] | None:
        """What was saved last of a phase and can be read; nothing if nothing was.

        A damaged checkpoint is told in a warning and left, until there are newer ones; the one before it counts.

        Raises:
            CheckpointError: If there are only damaged ones.
        """
        place, failure = self._of("checkpoints", phase), None
        while found := self.checkpoints(phase):
            try:
                return self._load(found[-1])
            except CheckpointError as error:  # noqa: PERF203
                failure = error
                self._damaged.add(found[-1])
                before = f"going back to {found[-2]}" if len(found) > 1 else "there is none before it"
                warnings.warn(f"{error}; {before}", stacklevel=2)
        if failure is not None:
            raise CheckpointError(f"{failure}; remove {place} to begin '{phase}' again") from failure
        return None

    def save(self, phase: str, tree: Mapping[str, Any]) -> None:
        """Keeps a state of a phase beside those before; the oldest go when the new one is on the disk."""
        self.resume = True
        if not self.world.is_first:
            return
        place = self._of("checkpoints", phase)
        numbers = [int(path.name) for path in place.glob("[0-9]*") if path.name.isdecimal()]
        self._save(place / f"{max(numbers, default=0) + 1:08d}", tree)
        self._drop(place, keep=self.checkpoints(phase)[-self.keep :])

    def _of(self, what: str, phase: str) -> Path:
        return self.path / what / quote(phase, safe="")

    @staticmethod
    def _save(place: Path, tree: Mapping[str, Any]) -> None:
        plain, tensors = split_tree(tree)
        save_directory(place, plain, tensors)

    @staticmethod
    def _load(place: Path) -> dict[str, Any]:
        meta, tensors = load_directory(place)
        try:
            return dict(join_tree(meta, tensors))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{place}: not a readable checkpoint: {error!r}") from error

    @staticmethod
    def _drop(place: Path, keep: Sequence[Path]) -> None:
        """Removes the checkpoints of a phase but some, with what was left of those that were cut off."""
        for path in sorted(place.glob("[0-9]*")):
            if path not in keep:
                (path / MANIFEST).unlink(missing_ok=True)  # what is half gone is no checkpoint
                shutil.rmtree(path, ignore_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"
