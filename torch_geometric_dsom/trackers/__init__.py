"""Trackers: where the numbers of a run go while it runs; PyKEEN's result trackers fit as they are."""

from torch_geometric_dsom.trackers.csv_tracker import CSVTracker
from torch_geometric_dsom.trackers.json_lines_tracker import JSONLinesTracker
from torch_geometric_dsom.trackers.tensorboard_tracker import TensorBoardTracker
from torch_geometric_dsom.trackers.tracker import Tracker, TrackerList
from torch_geometric_dsom.trackers.wandb_tracker import WandbTracker

__all__ = ["CSVTracker", "JSONLinesTracker", "TensorBoardTracker", "Tracker", "TrackerList", "WandbTracker"]
