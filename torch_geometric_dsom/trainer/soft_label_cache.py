"""Soft labels that were computed before: read again instead of multiplied again."""

from __future__ import annotations

import os
import shutil
import tempfile

import torch
from torch import Tensor

from torch_geometric_dsom.errors import MemoryBudgetError

SCALE = 1024.0  # probabilities up to 1 then use what float16 has: steps of 2^-11 down to 6e-8, nothing lost above 6e-11


class SoftLabelCache:
    """Distributions of frozen teachers over the answers to some queries, in half precision.

    They are stored when they are computed first. A budget says how many queries there is room for; those beyond it are
    not stored. A probability is off by at most one part in 2,048, or by :math:`3 \\cdot 10^{-11}`.

    With :obj:`top_k`, the largest probabilities of each distribution are kept, and what they leave is spread evenly
    over the other entities: less exact, and many more queries in the same budget. :attr:`error` says by how much.

    Args:
        keys (Tensor): Numbers of the queries that may be stored, ``[P]`` int64, in any order, each once.
        num_teachers (int): Number of teachers :math:`K`.
        num_entities (int): Number of entities :math:`N`.
        max_bytes (int): The budget.
        folder (path, optional): Keeps them in a file there, mapped into memory and without a name, so that it is gone
            with the process; in memory if :obj:`None`.
        device (torch.device or str): Where they are kept without a folder, and read to; keys and places are on the
            host. (default: :obj:`"cpu"`)
        top_k (int): How many probabilities are kept of each distribution; all of them if 0. (default: :obj:`0`)

    Example:
        >>> import torch
        >>> cache = SoftLabelCache(torch.tensor([7, 3]), num_teachers=1, num_entities=2, max_bytes=8)
        >>> slot = cache.slots(torch.tensor([3, 5, 7]))
        >>> slot.tolist()  # there is no query 5
        [0, -1, 1]
        >>> cache.write(slot[:1], torch.tensor([[[0.25, 0.75]]]))
        >>> cache.ready[slot[:1]], cache.read(slot[:1], torch.empty(1, 1, 2))
        (tensor([True]), tensor([[[0.2500, 0.7500]]]))
    """

    def __init__(
        self,
        keys: Tensor,
        num_teachers: int,
        num_entities: int,
        max_bytes: int,
        folder: str | os.PathLike[str] | None = None,
        device: torch.device | str = "cpu",
        top_k: int = 0,
    ) -> None:
        self.top_k = top_k if top_k < num_entities else 0  # with as many as there are, nothing is left out
        self.num_entities = num_entities
        width = self.top_k or num_entities
        each = (6 if self.top_k else 2) * num_teachers * width
        room = min(keys.numel(), max_bytes // max(each, 1))
        self.keys = keys.sort().values
        self.ready = torch.zeros(room, dtype=torch.bool)
        shape = room, num_teachers, width
        self._store = _room(shape, torch.float16, folder, device)
        self._entity = _room(shape if self.top_k else (0,), torch.int32, folder, device)
        self._off = torch.zeros((), dtype=torch.float64, device=device)

    def slots(self, key: Tensor) -> Tensor:
        """Where queries are stored, or would be, ``[Q]``; -1 for those without a place."""
        if self.ready.numel() == 0:
            return torch.full_like(key, -1)
        slot = torch.searchsorted(self.keys, key).clamp_max(self.keys.numel() - 1)
        there = (self.keys[slot] == key) & (slot < self.ready.numel())
        return slot.masked_fill(~there, -1)

    def is_stored(self, slot: Tensor) -> Tensor:
        """Which of these places are filled, ``[Q]`` bool; -1 is none."""
        stored = slot >= 0
        stored[stored.clone()] = self.ready[slot[stored]]
        return stored

    def read(self, slot: Tensor, out: Tensor) -> Tensor:
        """Stored distributions.

        Args:
            slot (Tensor): Places that are ready, ``[Q]``, int64.
            out (Tensor): Memory for them, ``[K, Q, N]``.

        Returns:
            Tensor: :obj:`out`.
        """
        self.read_times(slot, out)
        return out if self.factor == 1.0 else out.mul_(1.0 / self.factor)

    @property
    def factor(self) -> float:
        """What :meth:`read_times` leaves in."""
        return 1.0 if self.top_k else SCALE

    def read_times(self, slot: Tensor, out: Tensor) -> Tensor:
        """Stored distributions times :attr:`factor`, which saves a pass over them; else as :meth:`read`."""
        slot = slot.to(self._store.device, non_blocking=True)
        for k, part in enumerate(out):
            prob = self._store[:, k].index_select(0, slot)
            if self.top_k:
                prob = prob.to(part).mul_(1.0 / SCALE)
                rest = (1.0 - prob.sum(dim=-1, keepdim=True)).clamp_min_(0.0) / (self.num_entities - self.top_k)
                part.copy_(rest.expand_as(part))
                part.scatter_(1, self._entity[:, k].index_select(0, slot).to(part.device, torch.long), prob)
            else:
                part.copy_(prob)
        return out

    def write(self, slot: Tensor, prob: Tensor) -> None:
        """Stores distributions.

        Args:
            slot (Tensor): Places, ``[Q]``, int64, none of them -1.
            prob (Tensor): ``[K, Q, N]``.
        """
        self.ready[slot] = True
        slot = slot.to(self._store.device, non_blocking=True)
        for k, part in enumerate(prob):
            if self.top_k:
                part, entity = part.topk(self.top_k, dim=-1, sorted=False)
                self._entity[slot, k] = entity.int().to(self._store.device)
            self._store[slot, k] = (part * SCALE).half().to(self._store.device)
        if self.top_k:
            off = self.read(slot, torch.empty_like(prob)).sub_(prob).abs_()
            self._off += off.sum(dtype=torch.float64) / (2 * len(prob))

    @property
    def error(self) -> float:
        """Total variation distance between what was stored and what is read, in :math:`[0, 1]`, the mean so far.

        It is measured with :obj:`top_k`; without, there is only the rounding, which is bounded, and it is 0.
        """
        return (self._off / self.ready.sum().clamp_min(1)).item()

    @property
    def num_bytes(self) -> int:
        """How much is kept at most."""
        return sum(part.numel() * part.element_size() for part in (self._store, self._entity))


def _room(
    shape: tuple[int, ...], dtype: torch.dtype, folder: str | os.PathLike[str] | None, device: torch.device | str
) -> Tensor:
    """Memory, or a file without a name that is mapped into it."""
    size = torch.Size(shape).numel()
    if folder is None or size == 0:
        return torch.empty(shape, dtype=dtype, device=device)
    needed, free = size * dtype.itemsize, shutil.disk_usage(folder).free
    if needed > free:  # a page that cannot be written would end the process
        told = f"expected room for {needed} bytes in '{folder}', got {free}"
        raise MemoryBudgetError(f"cache: {told}; lower cache_bytes")
    with tempfile.NamedTemporaryFile(dir=folder, prefix="soft-labels-") as file:
        file.truncate(needed)  # sparse: pages come when they are written
        return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(shape)
