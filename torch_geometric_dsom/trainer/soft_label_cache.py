"""Soft labels that were computed before: read again instead of multiplied again."""

from __future__ import annotations

import os
import tempfile

import torch
from torch import Tensor

SCALE = 1024.0  # probabilities up to 1 then use what float16 has: steps of 2^-11 down to 6e-8, nothing lost above 6e-11


class SoftLabelCache:
    """Distributions of frozen teachers over the answers to some queries, in half precision.

    They are stored when they are computed first. A budget says how many queries there is room for; those beyond it are
    not stored. A probability is off by at most one part in 2,048, or by :math:`3 \\cdot 10^{-11}`.

    Args:
        keys (Tensor): Numbers of the queries that may be stored, ``[P]`` int64, in any order, each once.
        num_teachers (int): Number of teachers :math:`K`.
        num_entities (int): Number of entities :math:`N`.
        max_bytes (int): The budget.
        folder (path, optional): Keeps them in a file there, mapped into memory and without a name, so that it is gone
            with the process; in memory if :obj:`None`.
        device (torch.device or str): Where they are kept without a folder. (default: :obj:`"cpu"`)

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
    ) -> None:
        each = 2 * num_teachers * num_entities
        room = min(keys.numel(), max_bytes // max(each, 1))
        self.keys = keys.sort().values.to(device)
        self.ready = torch.zeros(room, dtype=torch.bool, device=device)
        shape = room, num_teachers, num_entities
        if folder is None or room == 0:
            self._store = torch.empty(shape, dtype=torch.float16, device=device)
        else:
            with tempfile.NamedTemporaryFile(dir=folder, prefix="soft-labels-") as file:
                file.truncate(room * each)  # sparse: pages come when they are written
                self._store = torch.from_file(file.name, shared=True, size=room * each // 2, dtype=torch.float16)
            self._store = self._store.view(shape)

    def slots(self, key: Tensor) -> Tensor:
        """Where queries are stored, or would be, ``[Q]``; -1 for those without a place."""
        if self.ready.numel() == 0:
            return torch.full_like(key, -1)
        slot = torch.searchsorted(self.keys, key).clamp_max(self.keys.numel() - 1)
        there = (self.keys[slot] == key) & (slot < self.ready.numel())
        return slot.masked_fill(~there, -1)

    def read(self, slot: Tensor, out: Tensor) -> Tensor:
        """Stored distributions.

        Args:
            slot (Tensor): Places that are ready, ``[Q]``, int64.
            out (Tensor): Memory for them, ``[K, Q, N]``.

        Returns:
            Tensor: :obj:`out`.
        """
        for k, part in enumerate(out):
            part.copy_(self._store[:, k].index_select(0, slot)).mul_(1.0 / SCALE)
        return out

    def write(self, slot: Tensor, prob: Tensor) -> None:
        """Stores distributions.

        Args:
            slot (Tensor): Places, ``[Q]``, int64, none of them -1.
            prob (Tensor): ``[K, Q, N]``.
        """
        for k, part in enumerate(prob):
            self._store[slot, k] = (part * SCALE).half()
        self.ready[slot] = True

    @property
    def num_bytes(self) -> int:
        """How much is kept at most."""
        return self._store.numel() * self._store.element_size()
