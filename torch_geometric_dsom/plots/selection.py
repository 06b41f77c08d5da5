"""Which teachers are chosen for which relation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.plots.figure import new_figure


class Shares(Protocol):
    """What :class:`~torch_geometric_dsom.trainer.SelectionShares` has."""

    @property
    def teachers(self) -> Sequence[str]:
        """Names of the :math:`K` teachers."""

    @property
    def relations(self) -> Sequence[str]:
        """Labels of the :math:`R` relations."""

    @property
    def share(self) -> Tensor:
        """``[R, K]``; NaN where a relation has no fact."""

    @property
    def none(self) -> Tensor:
        """``[R]``."""

    @property
    def count(self) -> Tensor:
        """``[R]``."""


def plot_selection(shares: Shares, most: int = 30) -> Any:
    """For how many per cent of the facts of each relation each teacher is chosen, relations down, teachers across.

    Args:
        shares (SelectionShares): Of ``trainer.selection(data)``.
        most (int): How many relations are shown, those with the most facts. (default: :obj:`30`)

    Returns:
        matplotlib.figure.Figure: The figure.

    Raises:
        ConfigError: If :obj:`most` is below one, or no relation has a fact.
        MissingPackageError: If matplotlib is not installed.
    """
    if most < 1:
        raise ConfigError(f"most: expected a positive number, got {most}")
    rows = [row for row in shares.count.argsort(descending=True, stable=True).tolist() if shares.count[row] > 0][:most]
    if not rows:
        raise ConfigError("shares: expected a relation with facts, got none")
    columns = [*shares.teachers, "none"]
    table = [[*shares.share[row].tolist(), shares.none[row].item()] for row in rows]
    labels = [_short(shares.relations[row]) for row in rows]
    figure, axes = new_figure("plot_selection", height=0.7 + 0.26 * len(rows))
    axes.pcolormesh(table, vmin=0.0, vmax=1.0, cmap="Blues", edgecolors="white", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xticks([column + 0.5 for column in range(len(columns))], columns)
    axes.set_yticks([row + 0.5 for row in range(len(rows))], labels)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            ink = "white" if value > 0.6 else "black"
            axes.text(column + 0.5, row + 0.5, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=8)
    return figure


def _short(label: str, width: int = 24) -> str:
    return label if len(label) <= width else f"{label[: width - 1]}…"
