"""Keeps the state of a phase of a run in its directory, also when somebody wants the run to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer.fit import Fit, FitResult, Objective, Record, fit_on_graph
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.run_directory import RunDirectory
from torch_geometric_dsom.trainer.stop_signal import StopSignal
from torch_geometric_dsom.trainer.team import SOLO, Team
from torch_geometric_dsom.trainer.whole_state import own_model, plain, whole_model

UNREADABLE = (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError, OverflowError)


class PhaseKeeper:
    """Saves a fit every few epochs and when a signal asks to stop, and restores it.

    Args:
        run (RunDirectory): Where.
        phase (str): Which phase of the run.
        stop (StopSignal): Asks to stop.
        every (int): Epochs between two checkpoints. (default: :obj:`1`)
    """

    def __init__(self, run: RunDirectory, phase: str, stop: StopSignal, every: int = 1) -> None:
        self.run = run
        self.phase = phase
        self.stop = stop
        self.every = every

    def begin(self, fit: Fit) -> None:
        """Restores the last checkpoint of the phase that can be read, if there is one."""
        found = self.run.latest(self.phase)
        if found is None:
            return
        try:
            check_same(self.phase, found["config"], fit.config)
            fit.load_state_dict(found["fit"])
        except UNREADABLE as error:
            if isinstance(error, CheckpointError):
                raise
            place = self.run.checkpoints(self.phase)[-1]
            raise CheckpointError(f"{place}: not a checkpoint of this run: {error}") from error

    def batch_done(self, fit: Fit) -> None:
        """Ends the run where a signal asked for it, once its state is safe."""
        self.stop.asked = self.run.world.agree(self.stop.asked)
        if self.stop.asked is not None:
            self.save(fit)
            self.stop.end(f"{self.phase}: stopped, saved in {self.run.path}")

    @contextmanager
    def validation(self, fit: Fit) -> Iterator[None]:
        """While it lasts a signal is answered at once; what was trained before it is saved.

        Of several processes none may leave the others alone: they wait for the end.
        """
        if self.run.world.size > 1:
            yield
            return
        try:
            with self.stop.released():
                yield
        except (KeyboardInterrupt, SystemExit):
            self.batch_done(fit)
            raise

    def epoch_done(self, fit: Fit) -> None:
        """Saves when it is time, or where a signal asked to end; what is over is kept by who finishes the phase."""
        self.stop.asked = self.run.world.agree(self.stop.asked)
        if not fit.over and self.stop.asked is None and len(fit.history) % self.every == 0:
            self.save(fit)
        if not fit.over:
            self.batch_done(fit)

    def save(self, fit: Fit) -> None:
        """Saves the state of a fit."""
        self.run.save(self.phase, {"config": asdict(fit.config), "fit": fit.state_dict()})

    def hint(self) -> str:
        """Where the last good checkpoint is."""
        found = self.run.checkpoints(self.phase)
        return f"; the last good checkpoint is {found[-1]}" if found else ""


def check_same(phase: str, found: dict[str, Any], config: FitConfig) -> None:
    """Refuses to go on with a phase that was begun in another way.

    Raises:
        CheckpointError: If an option differs; names it.
    """
    found = {**asdict(FitConfig()), **found}  # of options that there were none of when the run was begun
    for name, value in asdict(config).items():
        if found[name] != value:
            raise CheckpointError(f"{phase}: the run there has {name}={found[name]!r}, got {value!r}")


def fit_kept(
    run: RunDirectory,
    stop: StopSignal,
    every: int,
    model: nn.Module,
    data: Data,
    sampler: QuerySampler,
    objective: Objective,
    config: FitConfig,
    phase: str,
    progress: bool | None = None,
    on_epoch: Callable[[Record], None] | None = None,
    team: Team = SOLO,
) -> FitResult:
    """:func:`~torch_geometric_dsom.trainer.fit.fit_on_graph`, kept in a run: done already, gone on with, or begun.

    Args:
        run (RunDirectory): Where, locked.
        stop (StopSignal): Asks to stop.
        every (int): Epochs between two checkpoints.
        model (nn.Module): As all that follow, see :func:`~torch_geometric_dsom.trainer.fit.fit_on_graph`.
    """
    done = run.finished(phase)
    if done is not None:
        try:
            check_same(phase, done["config"], config)
            plain(model).load_state_dict(own_model(model, done["model"]))
            objective.load_state_dict(done["objective"])
            result = FitResult(done["best_epoch"], done["best_mrr"], list(done["history"]))
        except UNREADABLE as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{run.path}: '{phase}' is not of this run: {error}") from error
        run.forget(phase)  # where the run was cut off between the two
        model.eval()
        return result
    keeper = PhaseKeeper(run, phase, stop, every)
    with stop.held():
        result = fit_on_graph(model, data, sampler, objective, config, phase, progress, on_epoch, keeper, team)
        kept = {"config": asdict(config), "model": whole_model(model), "objective": objective.state_dict()}
        run.finish(phase, {**kept, **asdict(result)})
    return result
