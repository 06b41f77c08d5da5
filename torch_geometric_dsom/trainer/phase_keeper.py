"""Keeps the state of a phase of a run in its directory, also when somebody wants the run to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer.fit import Fit, FitConfig, FitResult, Objective, Record, fit_on_graph
from torch_geometric_dsom.trainer.run_directory import RunDirectory


class PhaseKeeper:
    """Saves a fit every few epochs and when a signal asks to stop, and restores it.

    Args:
        run (RunDirectory): Where.
        phase (str): Which phase of the run.
        every (int): Epochs between two checkpoints. (default: :obj:`1`)
    """

    def __init__(self, run: RunDirectory, phase: str, every: int = 1) -> None:
        self.run = run
        self.phase = phase
        self.every = every
        self.stop: int | None = None

    def begin(self, fit: Fit) -> None:
        """Restores the last checkpoint, if it is of this phase."""
        found = self.run.latest()
        if found is None or found.get("phase") != self.phase:
            return
        try:
            fit.load_state_dict(found["fit"])
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            place = self.run.checkpoints()[-1]
            raise CheckpointError(f"{place}: not a checkpoint of this run: {error}") from error

    def batch_done(self, fit: Fit) -> None:
        """Ends the run where a signal asked for it, once its state is safe."""
        if self.stop is None:
            return
        self.save(fit)
        self.end()

    def end(self) -> None:
        """Ends the run where a signal asked for it."""
        if self.stop is None:
            return
        if self.stop == signal.SIGINT:
            raise KeyboardInterrupt(f"{self.phase}: stopped, saved in {self.run.path}")
        raise SystemExit(128 + self.stop)

    def epoch_done(self, fit: Fit) -> None:
        """Saves when it is time, or where a signal asked to end; what is over is kept by who finishes the phase."""
        if not fit.over and self.stop is None and len(fit.history) % self.every == 0:
            self.save(fit)
        if not fit.over:
            self.batch_done(fit)

    def save(self, fit: Fit) -> None:
        """Saves the state of a fit."""
        self.run.save({"phase": self.phase, "fit": fit.state_dict()})

    def hint(self) -> str:
        """Where the last good checkpoint is."""
        found = self.run.checkpoints()
        return f"; the last good checkpoint is {found[-1]}" if found else ""

    @contextmanager
    def signals(self) -> Iterator[PhaseKeeper]:
        """While a phase runs, SIGTERM and Ctrl-C wait for the end of a batch; the second one does not."""
        if threading.current_thread() is not threading.main_thread():
            yield self  # only the main thread hears signals
            return
        before: dict[int, Any] = {}

        def remember(number: int, frame: FrameType | None) -> None:
            self.stop = number
            signal.signal(number, before[number])

        for number in (int(signal.SIGTERM), int(signal.SIGINT)):
            before[number] = signal.signal(number, remember)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def fit_kept(
    run: RunDirectory,
    every: int,
    model: nn.Module,
    data: Data,
    sampler: QuerySampler,
    objective: Objective,
    config: FitConfig,
    phase: str,
    progress: bool | None = None,
    on_epoch: Callable[[Record], None] | None = None,
) -> FitResult:
    """:func:`~torch_geometric_dsom.trainer.fit.fit_on_graph`, kept in a run: done already, gone on with, or begun.

    Args:
        run (RunDirectory): Where, locked.
        every (int): Epochs between two checkpoints.
        model (nn.Module): As all that follow, see :func:`~torch_geometric_dsom.trainer.fit.fit_on_graph`.
    """
    done = run.finished(phase)
    if done is not None:
        model.load_state_dict(done["model"])
        objective.load_state_dict(done["objective"])
        model.eval()
        return FitResult(done["best_epoch"], done["best_mrr"], done["history"])
    keeper = PhaseKeeper(run, phase, every)
    with keeper.signals():
        result = fit_on_graph(model, data, sampler, objective, config, phase, progress, on_epoch, keeper)
        kept = {"model": model.state_dict(), "objective": objective.state_dict()}
        run.finish(phase, {**kept, **asdict(result)})
    keeper.end()
    return result
