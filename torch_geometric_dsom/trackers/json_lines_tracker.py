"""A run as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from torch_geometric_dsom.trackers.file_tracker import FileTracker


class JSONLinesTracker(FileTracker):
    """Writes a line of JSON an epoch: ``prefix`` (the phase), ``step``, ``metrics``; before them one with ``params``.

    A number that is not finite is written as ``null``. At the first epoch that comes, what the file holds of that step
    and later ones goes: a run that is resumed goes on after what was kept and writes no epoch twice, and a run from the
    start begins the file anew.

    Args:
        path (str or Path): The file; its folder is made where it is missing.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from torch_geometric_dsom.trackers import JSONLinesTracker
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tracker = JSONLinesTracker(Path(folder, "run.jsonl"))
        ...     tracker.start_run()
        ...     tracker.log_metrics({"loss": 2.5}, step=1, prefix="student")
        ...     tracker.end_run()
        ...     print(Path(folder, "run.jsonl").read_text(), end="")
        {"prefix": "student", "step": 1, "metrics": {"loss": 2.5}}
    """

    def _step(self, line: str) -> int | None:
        try:
            content = json.loads(line)
        except ValueError:
            return None
        step = content.get("step") if isinstance(content, dict) else None
        return step if isinstance(step, int) else None

    def _lines_of_params(self, params: Mapping[str, Any], prefix: str | None) -> list[str]:
        return [json.dumps({"prefix": prefix, "params": dict(params)}, default=str) + "\n"]

    def _lines_of_metrics(self, metrics: Mapping[str, float], step: int | None, prefix: str | None) -> list[str]:
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        return [json.dumps({"prefix": prefix, "step": step, "metrics": finite}) + "\n"]
