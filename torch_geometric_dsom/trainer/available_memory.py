"""How much memory is left: of the machine, of the group of processes that we are in, of our own limit, of a GPU."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")
# Version 2 and version 1 of control groups: limit, use, and what of the use goes when it is needed.
FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that may still be allocated before something is killed or refused.

    On the host that is the least of what the machine has left, what the control groups of the process leave, as
    containers and batch systems set them, and what ``ulimit -v`` leaves.

    Args:
        device (torch.device or str): Where. (default: :obj:`"cpu"`)

    Example:
        >>> available_memory() > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    left = [int(psutil.virtual_memory().available), *cgroups_left()]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        left.append(limit - int(psutil.Process().memory_info().vms))
    return max(0, min(left))


def cgroups_left(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What each control group above the process that has a limit leaves, in bytes.

    Args:
        root (Path): Where the groups are mounted. (default: ``/sys/fs/cgroup``)
        own (Path): The groups of the process. (default: ``/proc/self/cgroup``)
    """
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / controllers
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):  # in a container, folders below the top need not be there
            yield from _left(folder)
            if folder == top:
                break


def _left(folder: Path) -> Iterator[int]:
    for limit, used, goes in FILES:
        with contextlib.suppress(OSError, ValueError):  # no such file, or no limit: "max"
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            words = (folder / "memory.stat").read_text().split()
            yield left + int(dict(zip(words[::2], words[1::2], strict=False)).get(goes, 0))
