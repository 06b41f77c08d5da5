"""The rows of a table that a process holds, and what differentiable operations on such tables need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torch_geometric_dsom.distributed.world import ALONE, World
from torch_geometric_dsom.errors import ConfigError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class Shard:
    """A run of the rows of a table that is dealt out over processes.

    Args:
        start (int): Its first row.
        stop (int): The row behind its last one.
        number (int): Rows of the whole table.
        world (World): The processes. (default: this one alone)
    """

    start: int
    stop: int
    number: int
    world: World = field(default=ALONE)

    @classmethod
    def of(cls, number: int, world: World = ALONE) -> Shard:
        """The rows of this process when each takes as many as ``DTensor`` would give it.

        Raises:
            ConfigError: If there is a process without a row.

        Example:
            >>> Shard.of(5)
            Shard(start=0, stop=5, number=5, world=World(rank=0, size=1))
        """
        each = -(-number // world.size)
        if each * (world.size - 1) >= number:
            raise ConfigError(f"number: expected rows for each of {world.size} processes, got {number}")
        return cls(world.rank * each, min((world.rank + 1) * each, number), number, world)

    @property
    def size(self) -> int:
        """How many rows this process holds."""
        return self.stop - self.start

    @property
    def rows(self) -> slice:
        """Its rows in the whole table."""
        return slice(self.start, self.stop)

    @property
    def most(self) -> int:
        """How many rows any process holds at most."""
        return -(-self.number // self.world.size)

    def local(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Which of some rows this process holds, and where; what it does not hold is said to be in its first row.

        Example:
            >>> Shard(2, 4, 6).local(torch.tensor([1, 3]))
            (tensor([False,  True]), tensor([0, 1]))
        """
        mine = (row >= self.start) & (row < self.stop)
        return mine, torch.where(mine, row - self.start, torch.zeros_like(row))

    def collect(self, value: Tensor) -> Tensor:
        """A sum over the processes that all of them go on with alike: its gradient goes back to each as it is."""
        return value if self.world.size == 1 else _Collect.apply(value, self.world)  # type: ignore[no-untyped-call]

    def spread(self, value: Tensor) -> Tensor:
        """A value that every process has and uses for rows of its own: its gradients are added up on the way back."""
        return value if self.world.size == 1 else _Spread.apply(value, self.world)  # type: ignore[no-untyped-call]

    def gather(self, part: Tensor) -> Tensor:
        """The whole table, from the rows of every process."""
        return self.world.gather(part.detach())

    def as_dtensor(self, part: Tensor) -> DTensor:
        """The table as a :class:`torch.distributed.tensor.DTensor` over the rows, for what takes one of those.

        Distributed checkpoints of PyTorch, for example; no value is moved or copied.
        """
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.tensor import DTensor
        from torch.distributed.tensor import Shard as Placement

        if self.world.group is None:
            raise ConfigError("world: expected a process group for a DTensor, got one process alone")
        mesh = DeviceMesh.from_group(self.world.group, part.device.type)
        shape = torch.Size((self.number, *part.shape[1:]))
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(part, mesh, [Placement(0)], run_check=False, shape=shape, stride=stride)


class _Collect(torch.autograd.Function):
    """A sum over the processes on the way there, nothing on the way back: each has the whole gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, world: World) -> Tensor:
        return world.sum_(value.clone())

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return upstream[0], None


class _Spread(torch.autograd.Function):
    """Nothing on the way there, a sum over the processes on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, world: World) -> Tensor:
        ctx.world = world
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.world.sum_(upstream[0].clone()), None
