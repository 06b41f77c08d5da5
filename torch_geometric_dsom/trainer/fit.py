"""The one training loop: batches of grouped queries, an objective, early stopping on validation."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from tqdm import tqdm

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import Scorer, fast_matmul
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler
from torch_geometric_dsom.trainer.finite_guard import FiniteGuard
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.team import SOLO, Team
from torch_geometric_dsom.trainer.whole_state import own_model, own_optimizer, plain, whole_model, whole_optimizer

Record = dict[str, float | int | str]
Logs = Mapping[str, float | Tensor]


class Objective(Protocol):
    """A loss of a batch, with its named parts."""

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """Returns the loss to differentiate, and what to log; numbers may stay on the device as tensors."""

    def state_dict(self) -> dict[str, Any]:
        """What changes in training beside the model."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""


class Keeper(Protocol):
    """Keeps a fit, so that it can go on where it was."""

    def begin(self, fit: Fit) -> None:
        """Before the first epoch; may restore an earlier state."""

    def batch_done(self, fit: Fit) -> None:
        """After each batch; may keep the state and end the fit by raising."""

    def validation(self, fit: Fit) -> AbstractContextManager[None]:
        """Around each validation, which may be cut short by raising: it changes nothing."""

    def epoch_done(self, fit: Fit) -> None:
        """After each epoch."""

    def hint(self) -> str:
        """What to tell who reads of a failure."""


@dataclass(frozen=True)
class FitResult:
    """How a fit went.

    Args:
        best_epoch (int): Epoch whose weights were kept, from 1.
        best_mrr (float): Validation MRR of that epoch; NaN if there was no validation.
        history (list[dict]): One record an epoch.
    """

    best_epoch: int
    best_mrr: float
    history: list[Record]


def fit_scorer(
    model: nn.Module,
    sampler: QuerySampler,
    objective: Objective,
    config: FitConfig,
    validate: Callable[[], float] | None = None,
    phase: str = "student",
    progress: bool | None = None,
    on_epoch: Callable[[Record], None] | None = None,
    keeper: Keeper | None = None,
    team: Team = SOLO,
) -> FitResult:
    """Trains a scorer and leaves it with its best weights, in evaluation mode.

    Args:
        model (nn.Module): What is trained, in place.
        sampler (QuerySampler): Gives the batches.
        objective (Objective): Gives the loss of a batch.
        config (FitConfig): How to train.
        validate (callable, optional): Gives the validation MRR of the model as it is; without it all epochs are run
            and the last weights are kept.
        phase (str): Name of this fit in records and progress bar. (default: :obj:`"student"`)
        progress (bool, optional): Whether to show a progress bar; :obj:`None` shows it on a terminal.
        on_epoch (callable, optional): Called with the record of each epoch.
        keeper (Keeper, optional): Keeps the state of the fit, and may restore it.
        team (Team): The processes that share the fit. (default: this one alone)

    Returns:
        FitResult: Best epoch, its validation MRR and the history.

    Raises:
        NonFiniteError: If a loss or a gradient is NaN or infinite; names phase, epoch, batch and parameter.
    """
    return Fit(model, sampler, objective, config, validate, phase, progress, on_epoch, keeper, team).run()


class Fit:
    """A fit between two batches: everything that it needs to go on.

    Args:
        model (nn.Module): As all that follow, see :func:`fit_scorer`.
    """

    def __init__(
        self,
        model: nn.Module,
        sampler: QuerySampler,
        objective: Objective,
        config: FitConfig,
        validate: Callable[[], float] | None = None,
        phase: str = "student",
        progress: bool | None = None,
        on_epoch: Callable[[Record], None] | None = None,
        keeper: Keeper | None = None,
        team: Team = SOLO,
    ) -> None:
        self.model = model
        self.sampler = sampler
        self.objective = objective
        self.config = config
        self.validate = validate
        self.phase = phase
        self.progress = progress
        self.on_epoch = on_epoch
        self.keeper = keeper
        self.team = team
        self.optimizer = make_optimizer(model, config)
        self.guard = FiniteGuard(model, phase)
        self.epoch, self.batch, self.seconds = 1, 0, 0.0  # the epoch that runs, its batches and seconds so far
        self.sums: dict[str, float | Tensor] = {}
        self.facts = 0
        self.order: Tensor | None = None  # of the sampler's generator when the epoch began
        self.history: list[Record] = []
        self.best_mrr, self.best_epoch = float("nan"), 0
        self.best_state: dict[str, Tensor] | None = None
        self.over = False

    def run(self) -> FitResult:
        """Trains until it is over."""
        if self.keeper is not None:
            self.keeper.begin(self)
        show = None if self.progress is None else not self.progress
        show = show if self.team.world.is_first else True
        bar = tqdm(
            total=self.config.epochs, initial=self.epoch - 1, desc=f"{self.phase:>18}", unit="epoch", disable=show
        )
        with bar, fast_matmul():
            while not self.over:
                record = self._run_epoch()
                bar.update()
                bar.set_postfix(loss=f"{record['loss']:.3f}", val_mrr=f"{self.best_mrr:.4f}", refresh=False)
        if self.best_state is None:
            self.best_epoch = len(self.history)
        else:
            plain(self.model).load_state_dict(self.best_state)
        self.model.eval()
        return FitResult(self.best_epoch, self.best_mrr, self.history)

    def _run_epoch(self) -> Record:
        start, epoch = time.perf_counter() - self.seconds, self.epoch
        record: Record = {"phase": self.phase, "epoch": epoch, **self._train(start)}
        stale = 0
        if self.validate is not None and (epoch % self.config.evaluate_every == 0 or epoch == self.config.epochs):
            self.model.eval()
            kept = nullcontext() if self.keeper is None else self.keeper.validation(self)
            with kept, self.guard.place(epoch, hint="" if self.keeper is None else self.keeper.hint()):
                mrr = self.validate()
            record["val_mrr"] = mrr
            if self.best_state is None or mrr > self.best_mrr:
                self.best_mrr, self.best_epoch = mrr, epoch
                state = plain(self.model).state_dict()
                self.best_state = {name: value.detach().clone() for name, value in state.items()}
            stale = (epoch - self.best_epoch) // self.config.evaluate_every
        record["seconds"] = time.perf_counter() - start
        self.history.append(record)
        self.epoch, self.batch, self.seconds, self.sums, self.facts, self.order = epoch + 1, 0, 0.0, {}, 0, None
        self.over = stale >= self.config.patience or epoch >= self.config.epochs
        if self.on_epoch is not None:
            self.on_epoch(record)
        if self.keeper is not None:
            self.keeper.epoch_done(self)
        return record

    def _train(self, start: float) -> dict[str, float]:
        """What is left of an epoch's batches; returns what the objective logs, averaged over facts."""
        self.model.train()
        generator = getattr(self.sampler, "generator", None)
        if self.order is not None and generator is not None:
            generator.set_state(self.order)
        elif generator is not None:
            self.order = generator.get_state()
        hint = "" if self.keeper is None else self.keeper.hint()
        for batch in itertools.islice(self.sampler, self.batch, self.config.max_batches):
            self.batch += 1
            with self.guard.place(self.epoch, self.batch, hint):
                loss, logs = self.objective(batch, self.epoch)
            self.guard.loss(loss, self.epoch, self.batch, hint)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            count = batch.target.numel()
            numbers = {"loss": loss.detach() * batch.num_facts, **{name: part * count for name, part in logs.items()}}
            numbers = self.team.sum_gradients(self.model, numbers)
            self.guard.gradients(self.epoch, self.batch, hint)
            self.optimizer.step()
            self.facts += batch.num_facts
            for name, number in numbers.items():
                self.sums[name] = self.sums.get(name, 0.0) + number
            self.seconds = time.perf_counter() - start
            if self.keeper is not None:
                self.keeper.batch_done(self)
        self.guard.epoch_done(self.epoch, hint)
        return {name: float(total) / self.facts for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on, to the bit: weights, optimiser, objective, order, generators, history."""
        return {
            "model": whole_model(self.model),
            "generators": generator_states(plain(self.model)),
            "optimizer": whole_optimizer(self.model, self.optimizer),
            "objective": self.objective.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "sums": {name: float(total) for name, total in self.sums.items()},
            "facts": self.facts,
            "order": self.order,
            "sampler": self.sampler.generator.get_state(),
            "history": self.history,
            "best_mrr": self.best_mrr,
            "best_epoch": self.best_epoch,
            "best_state": None if self.best_state is None else whole_model(self.model, self.best_state),
            "over": self.over,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        plain(self.model).load_state_dict(own_model(self.model, state["model"]))
        load_generator_states(plain(self.model), state["generators"])
        self.optimizer.load_state_dict(own_optimizer(self.model, state["optimizer"]))
        self.objective.load_state_dict(state["objective"])
        self.sampler.generator.set_state(state["sampler"])
        for name in ("epoch", "batch", "seconds", "sums", "facts", "order"):
            setattr(self, name, state[name])
        for name in ("history", "best_mrr", "best_epoch", "over"):
            setattr(self, name, state[name])
        best = state["best_state"]
        self.best_state = None if best is None else own_model(self.model, best)


def generator_states(module: object) -> dict[str, Tensor]:
    """States of the generators that parts of a module draw from, by name of the part.

    Args:
        module (object): A module whose parts keep theirs as ``generator``; anything else has none.
    """
    parts = module.named_modules() if isinstance(module, nn.Module) else ()
    found = ((name, getattr(part, "generator", None)) for name, part in parts)
    return {name: generator.get_state() for name, generator in found if isinstance(generator, torch.Generator)}


def load_generator_states(module: object, states: dict[str, Tensor]) -> None:
    """Restores what :func:`generator_states` gave."""
    parts = dict(module.named_modules()) if isinstance(module, nn.Module) else {}
    for name, state in states.items():
        parts[name].generator.set_state(state)


def make_optimizer(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    """The optimiser that the configuration names, over the parameters of the model."""
    # One pass over each tensor instead of one for each operation, which is what a large table costs on a CPU.
    on_cpu = all(value.device.type == "cpu" and value.is_floating_point() for value in model.parameters())
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.Adagrad
    return kind(model.parameters(), lr=config.lr, fused=on_cpu or None)


def fit_on_graph(
    model: nn.Module,
    data: Data,
    sampler: QuerySampler,
    objective: Objective,
    config: FitConfig,
    phase: str = "student",
    progress: bool | None = None,
    on_epoch: Callable[[Record], None] | None = None,
    keeper: Keeper | None = None,
    team: Team = SOLO,
) -> FitResult:
    """Trains a scorer with :func:`fit_scorer`; the validation facts of a graph, where there are any, choose the epoch.

    Args:
        model (nn.Module): What is trained, with ``score_tails``.
        data (Data): A graph in the data contract; its test facts are not read.
        sampler (QuerySampler): Gives the batches.
        objective (Objective): Gives the loss of a batch.
        config (FitConfig): How to train.
        phase (str): Name of this fit in records and progress bar. (default: :obj:`"student"`)
        progress (bool, optional): Whether to show a progress bar; :obj:`None` shows it on a terminal.
        on_epoch (callable, optional): Called with the record of each epoch.
        keeper (Keeper, optional): Keeps the state of the fit, and may restore it.
        team (Team): The processes that share the fit. (default: this one alone)
    """
    known = KnownAnswers.from_data(data, splits=("train", "val"))

    def validate_mrr() -> float:
        scorer = model.freeze() if isinstance(model, Scorer) else model
        return evaluate(scorer, data, split="val", known=known, world=team.world).mrr  # type: ignore[arg-type]

    check = validate_mrr if split_triples(data, "val").size(0) > 0 else None
    return fit_scorer(model, sampler, objective, config, check, phase, progress, on_epoch, keeper, team)
