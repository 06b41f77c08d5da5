"""A run as a table of numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from torch_geometric_dsom.trackers.file_tracker import FileTracker
from torch_geometric_dsom.trackers.tracker import flat

HEADER = ("type", "step", "key", "value")


class CSVTracker(FileTracker):
    """Writes a CSV file with the columns of PyKEEN's: type (``parameter`` or ``metric``), step, key, value.

    At the first epoch that comes, what the file holds of that step and later ones goes: a run that is resumed goes on
    after what was kept and writes no epoch twice, and a run from the start begins the file anew.

    Args:
        path (str or Path): The file; its folder is made where it is missing.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from torch_geometric_dsom.trackers import CSVTracker
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tracker = CSVTracker(Path(folder, "run.csv"))
        ...     tracker.start_run()
        ...     tracker.log_params({"rank": 8})
        ...     tracker.log_metrics({"loss": 2.5}, step=1, prefix="student")
        ...     tracker.end_run()
        ...     print(Path(folder, "run.csv").read_text(), end="")
        type,step,key,value
        parameter,0,rank,8
        metric,1,student.loss,2.5
    """

    def _header(self) -> list[str]:
        return _lines([HEADER])

    def _step(self, line: str) -> int | None:
        kind, step, *_ = [*next(csv.reader([line]), []), "", ""]
        return int(step) if kind == "metric" and step.isdigit() else None

    def _lines_of_params(self, params: Mapping[str, Any], prefix: str | None) -> list[str]:
        return _lines(("parameter", 0, key, value) for key, value in flat(params, prefix).items())

    def _lines_of_metrics(self, metrics: Mapping[str, float], step: int | None, prefix: str | None) -> list[str]:
        return _lines(("metric", step, key, value) for key, value in flat(metrics, prefix).items())


def _lines(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    out = io.StringIO()
    plain = ([value.replace("\n", " ") if isinstance(value, str) else value for value in row] for row in rows)
    csv.writer(out, lineterminator="\n").writerows(plain)
    return out.getvalue().splitlines(keepends=True)
