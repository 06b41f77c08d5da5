"""Where a trainer keeps its run, if it is told to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch_geometric.data import Data

from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.fit import FitResult, fit_on_graph
from torch_geometric_dsom.trainer.identity import flat, part_identity, run_identity
from torch_geometric_dsom.trainer.phase_keeper import fit_kept
from torch_geometric_dsom.trainer.run_directory import RunDirectory
from torch_geometric_dsom.trainer.stop_signal import StopSignal


class KeptRun:
    """The folder that the phases of a run are kept in, opened for as long as somebody trains; nowhere at first.

    Args:
        world (World): The processes of the run. (default: this one alone)

    Example:
        >>> kept = KeptRun()
        >>> kept.set(every=5)
        >>> kept.directory is None, kept.every, kept.keep
        (True, 5, 2)
    """

    def __init__(self, world: World = ALONE) -> None:
        self.world = world
        self.directory: str | os.PathLike[str] | None = None
        self.resume = False
        self.every = 1
        self.keep = 2
        self._given: dict[str, str] | None = None
        self._open: tuple[RunDirectory, StopSignal] | None = None

    def set(
        self,
        directory: str | os.PathLike[str] | None = None,
        resume: bool | None = None,
        every: int | None = None,
        keep: int | None = None,
    ) -> None:
        """Takes what is given of where and how the run is kept; the rest stays. See
        :class:`~torch_geometric_dsom.DSoMTrainer`.

        Raises:
            ConfigError: If a number is below one.
        """
        for name, value in (("checkpoint_every", every), ("keep_checkpoints", keep)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected a positive number, got {value}")
        if directory is not None and directory != self.directory:
            self.directory, self.resume, self._given = directory, False, None
        self.resume = self.resume if resume is None else resume
        self.every = every or self.every
        self.keep = keep or self.keep

    @contextmanager
    def opened(
        self, seed: int, config: DSoMConfig, data: Data, parts: Mapping[str, object]
    ) -> Iterator[RunDirectory | None]:
        """The folder, ours alone for a while; nothing where none was given.

        Args:
            seed (int): Seed of the run.
            config (DSoMConfig): Its options.
            data (Data): Its graph.
            parts (dict): The models that are there by now; those of the first time belong to what the run is.
        """
        if self.directory is None or self._open is not None:
            yield None if self._open is None else self._open[0]
            return
        if self._given is None:  # what was there before the run began
            self._given = {name: part_identity(part) for name, part in parts.items() if part is not None}
        identity: dict[str, Any] = {**run_identity(seed, config.to_dict(), data), **self._given}
        defaults = flat(DSoMConfig().to_dict())
        run = RunDirectory(self.directory, identity, self.resume, self.keep, self.world, defaults)
        with run.locked(), StopSignal() as stop:
            self._open = run, stop
            self.resume = True  # whatever comes next belongs to the same run
            try:
                yield run
            finally:
                self._open = None

    def fit(self, *arguments: Any, **options: Any) -> FitResult:
        """As :func:`~torch_geometric_dsom.trainer.fit.fit_on_graph`, kept where the folder is open."""
        if self._open is None:
            return fit_on_graph(*arguments, **options)
        return fit_kept(*self._open, self.every, *arguments, **options)

    @property
    def is_open(self) -> bool:
        """Whether somebody trains in the folder."""
        return self._open is not None
