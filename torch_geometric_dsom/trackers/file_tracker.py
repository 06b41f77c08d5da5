"""What trackers that write lines to a file share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from torch_geometric_dsom.errors import DataError


class FileTracker:
    """Writes lines to a file as they come, each at once on its way to the disk.

    At the first epoch that comes, what the file holds of that step and later ones goes: a run that is resumed goes on
    after what was kept and writes no epoch twice, and a run from the start begins the file anew.

    Args:
        path (str or Path): The file; its folder is made where it is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._head: list[str] = []  # of a run that begins: written with its first epoch
        self._file: TextIO | None = None

    def start_run(self, run_name: str | None = None) -> None:
        """Nothing is written before there is something to tell."""
        self._head = self._header()

    def log_params(self, params: Mapping[str, Any], prefix: str | None = None) -> None:
        """Takes the configuration, see :class:`Tracker`."""
        self._head += self._lines_of_params(params, prefix)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, prefix: str | None = None) -> None:
        """Writes the numbers of an epoch, see :class:`Tracker`."""
        if self._file is None:
            self._file = self._open(step)
        self._file.writelines(self._lines_of_metrics(metrics, step, prefix))
        self._file.flush()

    def end_run(self, success: bool = True) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self, step: int | None) -> TextIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]  # the last may be torn
            before = [line for line in lines if step is not None and self._is_before(line, step)]
            fresh = self.path.with_name(f".{self.path.name}.part")
            fresh.write_text("".join(before if self._has_epochs(before) else self._head), encoding="utf-8", newline="")
            fresh.replace(self.path)
            return self.path.open("a", encoding="utf-8", newline="")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: cannot be written ({error})") from error

    def _has_epochs(self, lines: list[str]) -> bool:
        return any(self._step(line) is not None for line in lines)

    def _is_before(self, line: str, step: int) -> bool:
        own = self._step(line)
        return own is None or own < step

    def _header(self) -> list[str]:
        """Lines at the top of a file."""
        return []

    def _step(self, line: str) -> int | None:
        """The step that a line is of; :obj:`None` if it is of none."""
        raise NotImplementedError

    def _lines_of_params(self, params: Mapping[str, Any], prefix: str | None) -> list[str]:
        raise NotImplementedError

    def _lines_of_metrics(self, metrics: Mapping[str, float], step: int | None, prefix: str | None) -> list[str]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"
