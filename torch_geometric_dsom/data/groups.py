"""Sets of entities, looked up in batches: the form in which neighbours and known answers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

TABLE = 8  # places for each number that are looked up in a table; more of them, and the numbers are sorted


class GroupRows(NamedTuple):
    """Groups of a batch of queries as pairs ``(row, entity)``, each pair once.

    Args:
        row (Tensor): Row of the batch, ``[nnz]``, int64.
        entity (Tensor): Entity in the group of that row, ``[nnz]``, int64.
        num_rows (int): Number of rows :math:`B`; rows without a pair have an empty group.
    """

    row: Tensor
    entity: Tensor
    num_rows: int

    def select(self, rows: Tensor) -> GroupRows:
        """The groups of some rows, given by number, in any order; they may repeat.

        Args:
            rows (Tensor): ``[M]``, int64.
        """
        order = self.row.argsort(stable=True)
        count = torch.bincount(self.row, minlength=self.num_rows)
        start = count.cumsum(0) - count
        row, position = expand_rows(start[rows], count[rows])
        return GroupRows(row, self.entity[order[position]], rows.numel())

    def split(self, parts: Sequence[slice]) -> list[GroupRows]:
        """The groups of runs of rows, one run after the other.

        Args:
            parts (list[slice]): The runs; the next begins where one ends, the last ends with the rows.
        """
        row, entity = self.row, self.entity
        if not bool((row[1:] >= row[:-1]).all()):
            order = row.argsort(stable=True)
            row, entity = row[order], entity[order]
        ends = torch.searchsorted(row, torch.tensor([part.stop for part in parts], device=row.device)).tolist()
        return [
            GroupRows(row[first:last] - part.start, entity[first:last], part.stop - part.start)
            for part, first, last in zip(parts, [0, *ends], ends, strict=False)
        ]

    def to(self, device: torch.device | str) -> GroupRows:
        """The same groups on another device."""
        row, entity = (x.to(device, non_blocking=True) for x in (self.row, self.entity))
        return GroupRows(row, entity, self.num_rows)

    def dense(self, num_entities: int) -> Tensor:
        """The same groups as a mask, ``[B, N]`` bool."""
        mask = torch.zeros(self.num_rows, num_entities, dtype=torch.bool, device=self.row.device)
        mask[self.row, self.entity] = True
        return mask


class CSR:
    """From a key to its set of values, each value once and sorted (compressed sparse rows over the keys that occur).

    Args:
        key (Tensor): Key of each pair, ``[P]``, int64, not negative.
        value (Tensor): Value of each pair, ``[P]``, int64, in ``[0, num_values)``.
        size (int): One more than the largest value there can be.

    Example:
        >>> import torch
        >>> sets = CSR(torch.tensor([7, 3, 7, 7]), torch.tensor([1, 0, 0, 1]), size=2)
        >>> sets.rows(torch.tensor([7, 5]))
        (tensor([0, 0]), tensor([0, 1]))
    """

    def __init__(self, key: Tensor, value: Tensor, size: int) -> None:
        pair = (key * size + value).unique()
        self._value = pair % size
        self._key, self._count = torch.unique_consecutive(pair // size, return_counts=True)
        self._start = self._count.cumsum(0) - self._count

    @property
    def num_keys(self) -> int:
        """Number of keys that occur."""
        return int(self._key.numel())

    @property
    def num_values(self) -> int:
        """Number of pairs."""
        return int(self._value.numel())

    def rows(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Row of the batch and value of all pairs with the given keys, ``[B]``; keys may be unknown or repeat."""
        if self.num_keys == 0:
            return key.new_empty(0), key.new_empty(0)
        slot = torch.searchsorted(self._key, key.contiguous()).clamp_max(self.num_keys - 1)
        count = torch.where(self._key[slot] == key, self._count[slot], torch.zeros_like(slot))
        row, position = expand_rows(self._start[slot], count)
        return row, self._value[position]

    def to(self, device: torch.device | str) -> CSR:
        """Moves the tables to a device, in place."""
        for name in ("_value", "_key", "_count", "_start"):
            setattr(self, name, getattr(self, name).to(device))
        return self


def expand_rows(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the given slices of an array, one after the other, without a loop.

    Args:
        start (Tensor): First position of each slice, ``[B]``, int64.
        count (Tensor): Length of each slice, ``[B]``, int64.

    Returns:
        tuple[Tensor, Tensor]: The slice that each position belongs to and the position, ``[count.sum()]`` each.

    Example:
        >>> import torch
        >>> expand_rows(torch.tensor([5, 0]), torch.tensor([2, 1]))
        (tensor([0, 0, 1]), tensor([5, 6, 0]))
    """
    row = torch.repeat_interleave(torch.arange(start.numel(), device=start.device), count)
    shift = start - (count.cumsum(0) - count)
    return row, shift.index_select(0, row).add_(torch.arange(row.numel(), device=start.device))


def sum_rows(table: Tensor, index: Tensor, count: Tensor) -> Tensor:
    """Sums of rows of a table, a run of the index for each, ``[N, D]``, ``[M]`` and ``[B]`` to ``[B, D]``.

    Args:
        table (Tensor): The rows, ``[N, D]``.
        index (Tensor): Numbers of rows, ``[M]``, int64.
        count (Tensor): Length of each run, ``[B]``, int64; they sum up to :math:`M`.

    Example:
        >>> import torch
        >>> sum_rows(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 2, 1]), torch.tensor([2, 0, 1]))
        tensor([[5.],
                [0.],
                [2.]])
    """
    offsets = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return torch.nn.functional.embedding_bag(index, table, offsets, mode="sum", include_last_offset=True)


def compact(key: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The different numbers among some, sorted, and where each of them is.

    Args:
        key (Tensor): ``[E]``, int64, in ``[0, size)``.
        size (int): One more than the largest there can be.

    Example:
        >>> import torch
        >>> compact(torch.tensor([7, 2, 7]), 9)
        (tensor([2, 7]), tensor([1, 0, 1]))
    """
    if size > TABLE * key.numel():
        found, place = key.unique(return_inverse=True)
        return found, place
    there = torch.zeros(size, dtype=torch.bool, device=key.device)
    there[key] = True
    found = there.nonzero().flatten()
    slot = torch.empty(size, dtype=torch.long, device=key.device)
    slot[found] = torch.arange(found.numel(), device=key.device)
    return found, slot.index_select(0, key)
