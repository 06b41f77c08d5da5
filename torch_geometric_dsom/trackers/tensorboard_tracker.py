"""A run in TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch_geometric_dsom.optional import require
from torch_geometric_dsom.trackers.tracker import flat


class TensorBoardTracker:
    """Writes scalars for TensorBoard, a group a phase; needs the extra ``tensorboard``.

    What the folder holds of the step of the first epoch that comes, and of later ones, is hidden: a run that is resumed
    shows no epoch twice.

    Args:
        folder (str or Path): Folder of the event files.

    Raises:
        ImportError: If TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require("tensorboard", extra="tensorboard", user="TensorBoardTracker")
        self.folder = folder
        self._params: dict[str, Any] = {}
        self._writer: Any = None

    def start_run(self, run_name: str | None = None) -> None:
        """Nothing is written before there is something to tell."""
        self._params = {}

    def log_params(self, params: Mapping[str, Any], prefix: str | None = None) -> None:
        """Takes the configuration, see :class:`Tracker`."""
        self._params |= flat(params, prefix)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, prefix: str | None = None) -> None:
        """Writes the numbers of an epoch, see :class:`Tracker`."""
        if self._writer is None:
            tensorboard = require("torch.utils.tensorboard", extra="tensorboard", user="TensorBoardTracker")
            self._writer = tensorboard.SummaryWriter(os.fspath(self.folder), purge_step=step)
            table = "".join(f"| {name} | {value} |\n" for name, value in self._params.items())
            self._writer.add_text("config", f"| name | value |\n|---|---|\n{table}", global_step=step)
        for name, value in metrics.items():
            self._writer.add_scalar(name if prefix is None else f"{prefix}/{name}", value, global_step=step)
        self._writer.flush()

    def end_run(self, success: bool = True) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self.folder)!r})"
