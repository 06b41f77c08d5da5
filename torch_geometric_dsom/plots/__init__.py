"""Pictures of a run as figures of matplotlib, which is the extra ``plot``."""

from torch_geometric_dsom.plots.breakdown import plot_breakdown, plot_degree
from torch_geometric_dsom.plots.history import plot_choices, plot_history
from torch_geometric_dsom.plots.selection import plot_selection

__all__ = ["plot_breakdown", "plot_choices", "plot_degree", "plot_history", "plot_selection"]
