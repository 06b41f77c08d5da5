"""What a tracker is, and several as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Tracker(Protocol):
    """Takes the numbers of a run; PyKEEN's ``ResultTracker`` keeps this protocol."""

    def start_run(self, run_name: str | None = None) -> None:
        """Before anything else.

        Args:
            run_name (str, optional): What to call the run.
        """

    def log_params(self, params: Mapping[str, Any], prefix: str | None = None) -> None:
        """Once, before the first epoch.

        Args:
            params (dict): Configuration, nested.
            prefix (str, optional): To be put before each name.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, prefix: str | None = None) -> None:
        """After each epoch.

        Args:
            metrics (dict): Numbers by name, ``epoch`` among them.
            step (int, optional): Epochs of the run so far, those of all phases; it rises from one call to the next.
            prefix (str, optional): The phase, such as ``"student"``.
        """

    def end_run(self, success: bool = True) -> None:
        """After everything else.

        Args:
            success (bool): Whether the run came to its end. (default: :obj:`True`)
        """


class TrackerList:
    """Several trackers as one, started once and ended once however many parts of a run ask for them.

    Args:
        trackers (list[Tracker]): The trackers.

    Example:
        >>> from torch_geometric_dsom.trackers import Tracker, TrackerList
        >>> class Shout:
        ...     def start_run(self, run_name=None):
        ...         print(f"{run_name} begins")
        ...     def end_run(self, success=True):
        ...         print("ends")
        >>> trackers = TrackerList([Shout()])
        >>> with trackers.run("mine"):
        ...     with trackers.run("mine"):
        ...         print("runs")
        mine begins
        runs
        ends
    """

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self.trackers = tuple(trackers)
        self._runs = False

    @contextmanager
    def run(self, name: str, params: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Starts all trackers and ends them; does nothing inside of another one.

        Args:
            name (str): What to call the run.
            params (dict, optional): Its configuration.
        """
        if self._runs:
            yield
            return
        self._runs, done, started = True, False, []
        try:
            for tracker in self.trackers:
                tracker.start_run(name)
                started.append(tracker)
                if params is not None:
                    tracker.log_params(params)
            yield
            done = True
        finally:
            self._runs = False
            for tracker in started:
                tracker.end_run(success=done)

    def log(self, record: Mapping[str, float | int | str], step: int) -> None:
        """Gives the record of an epoch to all.

        Args:
            record (dict): Numbers by name, and the ``phase``.
            step (int): Epochs of the run so far.
        """
        metrics = {name: float(value) for name, value in record.items() if not isinstance(value, str)}
        for tracker in self.trackers:
            tracker.log_metrics(dict(metrics), step=step, prefix=str(record["phase"]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.trackers)})"


def flat(params: Mapping[str, Any], prefix: str | None = None) -> dict[str, Any]:
    """Nested values under names with dots.

    Args:
        params (dict): Values, nested.
        prefix (str, optional): Put before each name.

    Example:
        >>> flat({"rank": 8, "student_fit": {"lr": 0.1}}, "config")
        {'config.rank': 8, 'config.student_fit.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        name = name if prefix is None else f"{prefix}.{name}"
        found |= flat(value, name) if isinstance(value, Mapping) else {name: value}
    return found
