"""One process at a time makes a graph in a folder; the others wait and then read it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextmanager
def root_lock(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder that uses it too; one that is killed keeps nobody out.

    Where the folder cannot be written there is nothing to keep anybody from.

    Args:
        folder (Path): The folder; made where it is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, root_lock(Path(folder)):
        ...     [path.name for path in Path(folder).iterdir()]
        ['.lock']
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("%s: another process makes this graph; waiting for it", folder)
            lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
