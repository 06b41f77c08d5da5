"""The one training loop: batches of grouped queries, an objective, early stopping on validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from tqdm import tqdm

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import Scorer, fast_matmul
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler

Record = dict[str, float | int | str]
Logs = Mapping[str, float | Tensor]
OPTIMIZERS = ("adam", "adagrad")
DTYPES: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}  # None: as the tensors are


@dataclass(frozen=True)
class FitConfig:
    """How a scorer is trained.

    Args:
        epochs (int): Epochs at most. (default: :obj:`60`)
        batch_size (int): Queries a batch. (default: :obj:`256`)
        max_facts (int): Facts of a query at most in one row of a batch, see
            :class:`~torch_geometric_dsom.sampler.QuerySampler`; 1 gives each fact a dropout of its own.
            (default: :obj:`16`)
        optimizer (str): ``"adam"`` or ``"adagrad"``. (default: :obj:`"adam"`)
        lr (float): Learning rate. (default: :obj:`0.003`)
        n3 (float): Weight of the N3 penalty. (default: :obj:`0.0`)
        evaluate_every (int): Epochs between two validations. (default: :obj:`3`)
        patience (int): Validations without a better MRR before training stops. (default: :obj:`4`)
        dtype (str): In which products with the entity table are computed, ``"float32"`` or ``"bfloat16"``, which takes
            half the time where the machine knows it; everything else stays float32. (default: :obj:`"float32"`)
        workspace_bytes (int): Memory for logits and what is made of them; a batch that needs more is computed in parts,
            with the same loss. (default: :obj:`134217728`, 128 MiB)

    Raises:
        ConfigError: If a value is out of range.
    """

    epochs: int = 60
    batch_size: int = 256
    max_facts: int = 16
    optimizer: str = "adam"
    lr: float = 3e-3
    n3: float = 0.0
    evaluate_every: int = 3
    patience: int = 4
    dtype: str = "float32"
    workspace_bytes: int = 1 << 27

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_facts", "evaluate_every", "patience", "workspace_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"optimizer: expected one of {list(OPTIMIZERS)}, got '{self.optimizer}'")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype: expected one of {list(DTYPES)}, got '{self.dtype}'")
        if not self.lr > 0:
            raise ConfigError(f"lr: expected a positive number, got {self.lr}")
        if not self.n3 >= 0:
            raise ConfigError(f"n3: expected zero or a positive number, got {self.n3}")


class Objective(Protocol):
    """A loss of a batch, with its named parts."""

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """Returns the loss to differentiate, and what to log; numbers may stay on the device as tensors."""


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

    Returns:
        FitResult: Best epoch, its validation MRR and the history.

    Raises:
        NonFiniteError: If a loss is NaN or infinite; names phase, epoch and batch.
    """
    optimizer = make_optimizer(model, config)
    history: list[Record] = []
    best_mrr, best_epoch, best_state = float("nan"), 0, None
    bar = tqdm(
        total=config.epochs, desc=f"{phase:>18}", unit="epoch", disable=None if progress is None else not progress
    )
    with bar, fast_matmul():
        for epoch in range(1, config.epochs + 1):
            start = time.perf_counter()
            record: Record = {"phase": phase, "epoch": epoch}
            record.update(_train_epoch(model, sampler, objective, optimizer, epoch, phase))
            stale = 0
            if validate is not None and (epoch % config.evaluate_every == 0 or epoch == config.epochs):
                model.eval()
                mrr = validate()
                record["val_mrr"] = mrr
                if best_state is None or mrr > best_mrr:
                    best_mrr, best_epoch = mrr, epoch
                    best_state = {name: value.detach().clone() for name, value in model.state_dict().items()}
                stale = (epoch - best_epoch) // config.evaluate_every
            record["seconds"] = time.perf_counter() - start
            history.append(record)
            if on_epoch is not None:
                on_epoch(record)
            bar.update()
            bar.set_postfix(loss=f"{record['loss']:.3f}", val_mrr=f"{best_mrr:.4f}", refresh=False)
            if stale >= config.patience:
                break
    if best_state is None:
        best_epoch = len(history)
    else:
        model.load_state_dict(best_state)
    model.eval()
    return FitResult(best_epoch, best_mrr, history)


def _train_epoch(
    model: nn.Module,
    sampler: QuerySampler,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    phase: str,
) -> dict[str, float]:
    """One pass over the sampler; returns what the objective logs, averaged over facts."""
    model.train()
    sums: dict[str, float | Tensor] = {}
    facts = 0
    waits = next(model.parameters()).device.type != "cpu"  # looking at a number there holds everything up
    losses: list[Tensor] = []
    for number, batch in enumerate(sampler, start=1):
        loss, logs = objective(batch, epoch)
        losses.append(loss.detach())
        if not waits:
            _check_losses(losses[-1:], phase, epoch, number)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count = batch.target.numel()
        facts += count
        for name, part in {"loss": losses[-1], **logs}.items():
            sums[name] = sums.get(name, 0.0) + part * count
    _check_losses(losses, phase, epoch, 1)
    return {name: float(total) / facts for name, total in sums.items()}


def _check_losses(losses: list[Tensor], phase: str, epoch: int, first: int) -> None:
    """Refuses losses that are not finite; the first of them is that of batch number ``first``."""
    for number, value in enumerate(torch.stack(losses).tolist(), start=first):
        if not math.isfinite(value):
            raise NonFiniteError(
                f"{phase}: loss became {value} in epoch {epoch}, batch {number}; lower the learning rate"
            )


def make_optimizer(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    """The optimiser that the configuration names, over the parameters of the model."""
    if config.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=config.lr)
    on_cpu = all(value.device.type == "cpu" and value.is_floating_point() for value in model.parameters())
    return torch.optim.Adagrad(model.parameters(), lr=config.lr, fused=on_cpu or None)


def fit_on_graph(
    model: nn.Module,
    data: Data,
    sampler: QuerySampler,
    objective: Objective,
    config: FitConfig,
    phase: str = "student",
    progress: bool | None = None,
    on_epoch: Callable[[Record], None] | None = None,
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
    """
    known = KnownAnswers.from_data(data, splits=("train", "val"))

    def validate_mrr() -> float:
        scorer = model.freeze() if isinstance(model, Scorer) else model
        return evaluate(scorer, data, split="val", known=known).mrr  # type: ignore[arg-type]

    check = validate_mrr if split_triples(data, "val").size(0) > 0 else None
    return fit_scorer(model, sampler, objective, config, check, phase, progress, on_epoch)
