"""What happened in the epochs of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.plots.figure import colour, legend, new_figure

SELECT = "select/"
LABELS = {"student": "DSoM student", "ce_only": "CE-only student"}
Records = Sequence[Mapping[str, float | int | str]]


def plot_history(history: Records, metric: str = "val_mrr", phases: Sequence[str] | None = None) -> Any:
    """A number of each epoch, a line a phase.

    Args:
        history (list[dict]): ``trainer.history``.
        metric (str): Which number, such as ``"val_mrr"``, ``"loss"`` or ``"kd"``. (default: :obj:`"val_mrr"`)
        phases (list[str], optional): Which phases; all that have the number, but for those of folds, if :obj:`None`.

    Returns:
        matplotlib.figure.Figure: The figure.

    Raises:
        ConfigError: If no record has the number.
        MissingPackageError: If matplotlib is not installed.

    Example:
        >>> from torch_geometric_dsom.plots import plot_history
        >>> history = [{"phase": "student", "epoch": e, "val_mrr": 0.1 * e} for e in (1, 2, 3)]
        >>> plot_history(history).axes[0].get_legend_handles_labels()[1]
        ['DSoM student']
    """
    there = dict.fromkeys(str(record["phase"]) for record in history if metric in record)
    shown = [name for name in there if not name.startswith("fold")] if phases is None else list(phases)
    if not shown or not set(shown) <= set(there):
        known = sorted({name for record in history for name in record})
        raise ConfigError(f"metric, phases: expected numbers of the history, got '{metric}' of {shown}; known: {known}")
    figure, axes = new_figure("plot_history")
    for number, phase in enumerate(shown):
        rows = [
            (record["epoch"], record[metric]) for record in history if record["phase"] == phase and metric in record
        ]
        student = phase in ("student", "ce_only")
        axes.plot(
            *zip(*rows, strict=True),
            label=LABELS.get(phase, phase.removeprefix("teacher/")),
            color=colour(phase, number),
            linewidth=2.2 if student else 1.2,
            linestyle="--" if phase == "ce_only" else "-",
            marker="o",
            markersize=3 if len(rows) < 40 else 0,
        )
    _epochs(axes)
    axes.set_ylabel({"val_mrr": "validation MRR"}.get(metric, metric))
    legend(axes)
    return figure


def plot_choices(history: Records) -> Any:
    """For which share of the training facts each teacher was chosen, over the student's epochs.

    Args:
        history (list[dict]): ``trainer.history``.

    Returns:
        matplotlib.figure.Figure: The figure.

    Raises:
        ConfigError: If nothing was chosen in any epoch.
        MissingPackageError: If matplotlib is not installed.

    Example:
        >>> from torch_geometric_dsom.plots import plot_choices
        >>> history = [{"phase": "student", "epoch": e, "select/text": 0.1 * e} for e in (1, 2, 3)]
        >>> plot_choices(history).axes[0].get_ylabel()
        'share of training facts'
    """
    names = dict.fromkeys(name for record in history for name in record if name.startswith(SELECT))
    if not names:
        raise ConfigError("history: expected records with select/<teacher>, got none; is the student trained?")
    figure, axes = new_figure("plot_choices")
    for number, key in enumerate(names):
        rows = [(record["epoch"], record[key]) for record in history if key in record]
        name = key.removeprefix(SELECT)
        axes.plot(
            *zip(*rows, strict=True),
            label="no teacher" if name == "none" else name,
            color=colour(name, number),
            linestyle=":" if name == "none" else "-",
            linewidth=1.8,
        )
    axes.set_ylim(-0.03, 1.03)
    _epochs(axes)
    axes.set_ylabel("share of training facts")
    legend(axes)
    return figure


def _epochs(axes: Any) -> None:
    """Whole numbers across."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xlabel("epoch")
