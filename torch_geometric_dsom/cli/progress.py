"""How far a run is: bars on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from torch_geometric.data import Data

from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.experts import expert_names
from torch_geometric_dsom.trainer.fit import Record


class RunProgress:
    """Shows the phases of a run; call it with the record of each epoch.

    Args:
        phases (dict[str, int]): Epochs at most of each phase, in their order.
        console (Console, optional): Where to show them; stderr if :obj:`None`.
    """

    def __init__(self, phases: Mapping[str, int], console: Console | None = None) -> None:
        self.phases = dict(phases)
        self.console = console if console is not None else Console(stderr=True)
        self.best: dict[str, float] = {}
        self._current: str | None = None
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}", style="dim"),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=self.console, expand=True)

    def __enter__(self) -> RunProgress:
        if self._bars is not None:
            for phase, epochs in self.phases.items():
                self._tasks[phase] = self._bars.add_task(phase, start=False, total=epochs, state="")
            self._bars.start()
            self._begin(next(iter(self.phases)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is None:
            return
        if kind is None:
            for phase in self.phases:
                self._finish(phase)
        self._bars.stop()

    def __call__(self, record: Record) -> None:
        """Takes the record of an epoch."""
        phase, epoch = str(record["phase"]), int(record["epoch"])
        if "val_mrr" in record:
            self.best[phase] = max(self.best.get(phase, 0.0), float(record["val_mrr"]))
        if self._bars is None:
            if "val_mrr" in record or epoch == self.phases.get(phase):
                line = f"{phase}: epoch {epoch}, loss {record['loss']:.4f}"
                mrr = f", validation MRR {record['val_mrr']:.4f}" if "val_mrr" in record else ""
                print(line + mrr, file=sys.stderr, flush=True)
            return
        if phase != self._current:
            self._begin(phase)
        state = f"loss {record['loss']:.3f}" + (f"  best MRR {self.best[phase]:.4f}" if phase in self.best else "")
        self._bars.update(self._tasks[phase], completed=epoch, state=state)
        names = list(self.phases)
        if epoch == self.phases[phase] and phase != names[-1]:
            self._begin(names[names.index(phase) + 1])

    def _begin(self, phase: str) -> None:
        """Starts the clock of a phase; those before it are over."""
        assert self._bars is not None
        for earlier in self.phases:
            if earlier == phase:
                break
            self._finish(earlier)
        self._current = phase
        self._bars.start_task(self._tasks[phase])

    def _finish(self, phase: str) -> None:
        """Fills the bar of a phase that is over: stopped early, or finished in an earlier run."""
        assert self._bars is not None
        task = next(task for task in self._bars.tasks if task.id == self._tasks[phase])
        if task.finished:
            return
        if task.completed == 0:
            self._bars.update(task.id, completed=task.total, state="done before")
        else:
            self._bars.update(task.id, total=task.completed)


def phases_of(data: Data, config: DSoMConfig, compare: bool, taught: bool = False) -> dict[str, int]:
    """The phases that training goes through, and their epochs at most.

    Args:
        data (Data): The graph.
        config (DSoMConfig): The configuration.
        compare (bool): Whether the CE-only student is trained as well.
        taught (bool): Whether there are teachers already. (default: :obj:`False`)
    """
    experts = [] if taught else expert_names(data, config)
    prefixes = ["", *(f"fold{fold}/" for fold in range(config.crossfit))]
    found = {f"{prefix}teacher/{name}": config.teacher_fit.epochs for prefix in prefixes for name in experts}
    found["student"] = config.student_fit.epochs
    return found | ({"ce_only": config.student_fit.epochs} if compare else {})
