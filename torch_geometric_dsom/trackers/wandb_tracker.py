"""A run in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch_geometric_dsom.optional import require


class WandbTracker:
    """Sends the numbers of a run to Weights & Biases, drawn over the epochs of their phase; needs the extra ``wandb``.

    Steps rise over the whole run: with an ``id`` and ``resume="allow"``, epochs that come again after a resume are
    known to Weights & Biases already, which leaves them out.

    Args:
        project (str): Name of the project.
        **options: Passed to ``wandb.init``, such as ``mode="offline"`` or ``id="..."`` and ``resume="allow"``.

    Raises:
        ImportError: If wandb is not installed.
    """

    def __init__(self, project: str, **options: Any) -> None:
        self._wandb = require("wandb", extra="wandb", user="WandbTracker")
        self.project = project
        self.options = options
        self._run: Any = None
        self._prefixes: set[str] = set()

    def start_run(self, run_name: str | None = None) -> None:
        """Begins a run of the project."""
        self._run = self._wandb.init(project=self.project, name=run_name, **self.options)
        self._prefixes = set()

    def log_params(self, params: Mapping[str, Any], prefix: str | None = None) -> None:
        """Sends the configuration, see :class:`Tracker`."""
        self._run.config.update(dict(params) if prefix is None else {prefix: dict(params)}, allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, prefix: str | None = None) -> None:
        """Sends the numbers of an epoch, see :class:`Tracker`."""
        if prefix is not None and "epoch" in metrics and prefix not in self._prefixes:
            self._prefixes.add(prefix)
            self._run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/epoch")
        named = {name if prefix is None else f"{prefix}/{name}": value for name, value in metrics.items()}
        self._run.log(named, step=step)

    def end_run(self, success: bool = True) -> None:
        """Ends the run."""
        self._run.finish(exit_code=0 if success else 1)
        self._run = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project!r})"
