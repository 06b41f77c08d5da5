"""SIGTERM and Ctrl-C: at once where nothing is lost by it, at the next safe place where something would be."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (int(signal.SIGTERM), int(signal.SIGINT))


class StopSignal:
    """Hears the wish that a run should end; outside the main thread, which alone hears signals, it does nothing.

    Ctrl-C ends in a :class:`KeyboardInterrupt`, SIGTERM in a :class:`SystemExit` with the code 143. The second signal
    finds what was there before and does not wait.

    Example:
        >>> import os
        >>> with StopSignal() as stop:
        ...     try:
        ...         with stop.held():
        ...             os.kill(os.getpid(), signal.SIGTERM)
        ...             print("saved")
        ...     except SystemExit as end:
        ...         print(end.code)
        saved
        143
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is inside is not cut; a signal is answered at its end, or where it asks for :obj:`asked`."""
        yield from self._while(True)
        self.check()

    @contextmanager
    def released(self) -> Iterator[None]:
        """What is inside may be cut, although what is around it may not."""
        yield from self._while(False)

    def _while(self, waits: bool) -> Iterator[None]:
        before, self._waits = self._waits, waits
        try:
            self.check()
            yield
        finally:
            self._waits = before

    def check(self) -> None:
        """Ends the run where that was asked for and nothing is in the way."""
        if self.asked is not None and not self._waits:
            self.end()

    def end(self, told: str = "stopped") -> None:
        """Ends the run.

        Args:
            told (str): What a :class:`KeyboardInterrupt` says. (default: :obj:`"stopped"`)
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt(told)
        raise SystemExit(128 + (self.asked or 0))

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        signal.signal(number, self._before[number])
        self.check()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(asked={self.asked})"
