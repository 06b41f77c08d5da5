"""How the processes of a run share it: each has a part of every batch, or a part of the entities."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import ALONE, World

Number = float | Tensor


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Args:
        world (World): Who they are. (default: this one alone)
        by (str): ``"data"``: every process has the whole model and a part of each batch; ``"entity"``: every process
            has a part of the entity tables and sees each batch whole. (default: :obj:`"data"`)

    Example:
        >>> Team().batches, Team().entities
        (World(rank=0, size=1), World(rank=0, size=1))
    """

    world: World = ALONE
    by: str = "data"

    @property
    def batches(self) -> World:
        """The processes that share each batch."""
        return self.world if self.by == "data" else ALONE

    @property
    def entities(self) -> World:
        """The processes that share the entities."""
        return self.world if self.by == "entity" else ALONE

    @property
    def share(self) -> tuple[int, int]:
        """Which part of each batch this process takes, see :class:`~torch_geometric_dsom.sampler.QuerySampler`."""
        return self.batches.rank, self.batches.size

    def memory_for(self, available: int, shared: bool) -> int:
        """As much memory as one process alone would have to have, for this one to get by.

        Args:
            available (int): What there is, in bytes.
            shared (bool): Whether all processes of this machine have to share it.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if shared and self.world.size > 1 else 1
        return available * self.entities.size // here

    def sum_gradients(self, model: nn.Module, numbers: dict[str, Number]) -> dict[str, Number]:
        """Adds up what every process has a share of, after the backward pass: gradients, and numbers to log.

        Gradients are added here and not by :class:`torch.nn.parallel.DistributedDataParallel`, which takes means and
        hears of a backward pass only if the forward pass went through it; losses that make their gradient themselves
        ask a model for tables and query vectors instead. Nothing would be gained either: nearly all of the gradient is
        that of the entity table, and it comes last.

        Args:
            model (nn.Module): The model, with gradients.
            numbers (dict[str, float or Tensor]): Scalars, under the same names in every process.

        Returns:
            dict[str, float or Tensor]: Their sums.
        """
        if self.world.size == 1:
            return numbers
        if self.by == "entity":  # numbers are the same everywhere already
            partial: list[nn.Parameter] = getattr(model, "partial_parameters", list)()
            self.world.sum_all_([value.grad for value in partial if value.grad is not None])
            return numbers
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        like = gradients[0] if gradients else torch.empty(0)
        vector = torch.stack([torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in numbers.values()])
        self.world.sum_all_([*gradients, vector])
        return dict(zip(numbers, vector.unbind(), strict=True))


SOLO = Team()
