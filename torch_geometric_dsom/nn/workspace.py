"""Memory that is used again: at these sizes, fresh pages cost as much as the arithmetic on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rows_within(workspace_bytes: int, slabs: int, num_entities: int) -> int:
    """How many queries a budget of memory is enough for, one at least.

    Args:
        workspace_bytes (int): The budget.
        slabs (int): How many values there are for each query and entity at once.
        num_entities (int): Number of entities :math:`N`.

    Example:
        >>> rows_within(1 << 20, slabs=4, num_entities=1024)
        64
    """
    return max(1, workspace_bytes // (4 * slabs * num_entities))


def piece_rows(like: Tensor, slabs: int, num_entities: int, cached_bytes: int, workspace_bytes: int) -> int:
    """How many queries to work on at a time where several passes go over values for each query and entity.

    On CPU few enough for the processor's cache, on an accelerator as many as there is memory for.

    Args:
        like (Tensor): Says on which device.
        slabs (int): How many values there are for each query and entity at once.
        num_entities (int): Number of entities :math:`N`.
        cached_bytes (int): How much of a cache to use.
        workspace_bytes (int): The budget of memory.

    Example:
        >>> import torch
        >>> piece_rows(torch.zeros(1), 2, num_entities=1024, cached_bytes=1 << 16, workspace_bytes=1 << 20)
        8
    """
    most = min(cached_bytes, workspace_bytes) if like.device.type == "cpu" else workspace_bytes
    return rows_within(most, slabs, num_entities)


class Workspace:
    """Named buffers that grow when they must and are handed out again and again.

    What a name gave before is overwritten by whoever asks for that name next.

    Example:
        >>> memory = Workspace()
        >>> first = memory.room("scores", (2, 3), torch.zeros(1))
        >>> second = memory.room("scores", (1, 4), torch.zeros(1))
        >>> first.data_ptr() == second.data_ptr()
        True
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}

    def room(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor of a shape, of the dtype and on the device of another one; its values are whatever was there.

        Args:
            name (str): Name of the buffer.
            shape (tuple[int, ...]): The shape.
            like (Tensor): Says dtype and device.
        """
        size, memory = math.prod(shape), self._memory.get(name)
        if memory is None or memory.numel() < size or memory.dtype != like.dtype or memory.device != like.device:
            self._memory.pop(name, None)  # the old one goes before the new one comes
            memory = self._memory[name] = torch.empty(size, dtype=like.dtype, device=like.device)
        return memory[:size].view(shape)

    @property
    def num_bytes(self) -> int:
        """How much memory it holds."""
        return sum(memory.numel() * memory.element_size() for memory in self._memory.values())
