"""The processes that share a piece of work, and the few things that they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torch_geometric_dsom.errors import WorkerError

TIMEOUT = timedelta(minutes=10)
LARGE = 1 << 18  # numbers from which on a copy costs more than a message


class World:
    """A group of processes, or one process alone, for which every operation is free.

    Every process has to call the same operations in the same order. One that is gone, or does not answer within the
    timeout of the group, ends the others with an error.

    Args:
        group (ProcessGroup, optional): A group of :mod:`torch.distributed`; this process alone if :obj:`None`.

    Example:
        >>> import torch
        >>> alone = World()
        >>> alone.rank, alone.size, alone.sum_(torch.tensor([1.0, 2.0])).tolist()
        (0, 1, [1.0, 2.0])
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.rank = 0 if group is None else dist.get_rank(group)
        self.size = 1 if group is None else dist.get_world_size(group)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and shows."""
        return self.rank == 0

    def share(self, number: int) -> slice:
        """Which of so many things this process takes: runs of almost equal length, in the order of the ranks."""
        return share_of(number, self.rank, self.size)

    def sum_(self, value: Tensor) -> Tensor:
        """Adds up a tensor over the processes, in place; the result has the same bits everywhere."""
        return self._reduce(value, dist.ReduceOp.SUM)

    def max_(self, value: Tensor) -> Tensor:
        """The element-wise maximum over the processes, in place."""
        return self._reduce(value, dist.ReduceOp.MAX)

    def total(self, number: int) -> int:
        """The sum of a whole number over the processes."""
        return number if self.size == 1 else int(self.sum_(torch.tensor(number)))

    def sum_all_(self, values: Sequence[Tensor]) -> None:
        """Adds up several tensors of one dtype and device, in place: large ones as they are, the others in one go."""
        if self.size == 1:
            return
        for value in values:
            if value.numel() >= LARGE:
                self.sum_(value)
        small = [value for value in values if value.numel() < LARGE]
        if small:
            flat = self.sum_(torch.cat([value.reshape(-1) for value in small]))
            for value, part in zip(small, flat.split([value.numel() for value in small]), strict=True):
                value.copy_(part.view_as(value))

    def stack(self, value: Tensor) -> Tensor:
        """The tensors of all processes, which have one shape, one above the other, ``[size, ...]``."""
        if self.size == 1:
            return value.unsqueeze(0)
        out = [torch.empty_like(value) for _ in range(self.size)]
        with self._told():
            dist.all_gather(out, value.contiguous(), group=self.group)
        return torch.stack(out)

    def gather(self, value: Tensor) -> Tensor:
        """The rows of all processes, in the order of the ranks; each may have another number of them."""
        if self.size == 1:
            return value
        sizes = self.stack(torch.tensor(value.size(0), device=value.device)).tolist()
        room = value.new_zeros(max(sizes), *value.shape[1:])
        room[: value.size(0)] = value
        plain = room.view(torch.uint8) if room.dtype == torch.bool else room
        parts = self.stack(plain).view(room.dtype)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def gather_objects(self, value: Any) -> list[Any]:
        """Small plain values of all processes, in the order of the ranks."""
        if self.size == 1:
            return [value]
        out: list[Any] = [None] * self.size
        with self._told():
            dist.all_gather_object(out, value, group=self.group)
        return out

    def agree(self, number: int | None) -> int | None:
        """The largest of the numbers that any process has, such as that of a signal; nothing if none has one."""
        if self.size == 1:
            return number
        found = int(self.max_(torch.tensor(-1 if number is None else number)))
        return None if found < 0 else found

    def barrier(self) -> None:
        """Waits until every process is here."""
        if self.size > 1:
            with self._told():
                dist.barrier(group=self.group)

    def _reduce(self, value: Tensor, operation: Any) -> Tensor:
        if self.size == 1:
            return value
        if not value.is_contiguous():
            return value.copy_(self._reduce(value.contiguous(), operation))
        with self._told():
            dist.all_reduce(value, op=operation, group=self.group)
        return value

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says what it means when a message does not come through."""
        try:
            yield
        except RuntimeError as error:
            first = str(error).splitlines()[0] if str(error) else repr(error)
            raise WorkerError(
                f"rank {self.rank} of {self.size}: expected an answer of every process, but one of them is gone or "
                f"took too long; look at the first error of the others ({first})"
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"


ALONE = World()


def share_of(number: int, rank: int, size: int) -> slice:
    """The run of :obj:`number` things that one of :obj:`size` processes takes.

    Example:
        >>> [share_of(7, rank, 3) for rank in range(3)]
        [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    each, more = divmod(number, size)
    start = rank * each + min(rank, more)
    return slice(start, start + each + (rank < more))


def launched() -> bool:
    """Whether this process is one of several, started by ``torchrun`` or with a process group already."""
    if not dist.is_available():
        return False
    return dist.is_initialized() or {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)


def join(timeout: timedelta = TIMEOUT) -> World:
    """The processes that this one was started with, by ``torchrun`` or in a group of the caller's making.

    Where there is no group yet, one is made: gloo for tensors in memory, NCCL for those on GPUs, of which each process
    takes the one with its local rank.

    Args:
        timeout (timedelta): After which a silent process counts as gone. (default: ten minutes)

    Returns:
        World: This process alone, if it was started alone.

    Example:
        >>> join()
        World(rank=0, size=1)
    """
    if not launched():
        return ALONE
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=timeout)
    return World(dist.group.WORLD) if dist.get_world_size() > 1 else ALONE
