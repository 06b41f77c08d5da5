"""The entities of one process, or some of them, as candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.sampler.candidates import Candidates, CandidateSampler


class ShardCandidates(Candidates):
    """Those entities of a process that queries are scored against, each standing for some of the process's entities.

    Entities are numbered over all processes; :attr:`entity` and the columns of logits are of this process alone.

    Args:
        shard (Shard): Which entities this process has.
        entity (Tensor, optional): The candidates, rows of this process, ``[C]`` int64, ascending; all of its entities
            if :obj:`None`.
        log_weight (Tensor, optional): Logarithm of how many each stands for, ``[C]``.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.distributed import Shard
        >>> some = ShardCandidates(Shard(4, 8, 12), torch.tensor([0, 3]), torch.zeros(2))  # entities 4 and 7
        >>> some.columns(torch.tensor([7, 5, 0]))
        (tensor([ True, False, False]), tensor([1, 0, 0]))
    """

    def __init__(self, shard: Shard, entity: Tensor | None = None, log_weight: Tensor | None = None) -> None:
        super().__init__(entity, log_weight)
        self.shard = shard

    def place(self, entity: Tensor) -> Tensor:
        """The entities themselves: where they are is of no concern to who asks."""
        return entity

    def columns(self, entity: Tensor) -> tuple[Tensor, Tensor]:
        """Which entities are among this process's candidates, and in which columns; 0 for the others."""
        mine, row = self.shard.local(entity)
        if self.entity is None:
            return mine, row
        place = torch.searchsorted(self.entity, row).clamp_max(self.entity.numel() - 1)
        mine = mine & (self.entity[place] == row)
        return mine, torch.where(mine, place, torch.zeros_like(place))

    def groups(self, groups: GroupRows) -> GroupRows:
        """Groups of entities as groups of columns; those of other processes are left out."""
        mine, column = self.columns(groups.entity)
        return GroupRows(groups.row[mine], column[mine], groups.num_rows)

    def names(self, column: Tensor) -> Tensor:
        """The entities of some columns."""
        return self.shard.start + (column if self.entity is None else self.entity[column])

    def to(self, device: torch.device | str) -> ShardCandidates:
        """The same candidates on another device."""
        if self.entity is None or self.log_weight is None:
            return self
        return ShardCandidates(self.shard, self.entity.to(device), self.log_weight.to(device))

    def drawn(self, sampler: CandidateSampler, required: Tensor) -> ShardCandidates:
        """Candidates of this process, those that are required among them.

        Args:
            sampler (CandidateSampler): Draws among as many entities as this process has.
            required (Tensor): Entities of any process, int64.
        """
        mine, row = self.shard.local(required)
        found = sampler.sample(row[mine])
        return ShardCandidates(self.shard, found.entity, found.log_weight)
