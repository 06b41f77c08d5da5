"""Soft labels of a batch of queries, some at a time: asked for in large products, softened in small pieces."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torch_geometric_dsom.sampler import ALL, Candidates

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.ensemble import Ensemble


class SoftLabelReader:
    """Softened distributions of all teachers for some queries, a few rows at a time in ascending order.

    Products with an entity table want many rows at once, passes over distributions want what fits a processor's cache.
    So teachers are asked for as many rows as there is memory for, and what they said is softened row by row as it is
    read. Queries in the cache are not asked for; others are stored where the cache has a place for them.

    Args:
        ensemble (Ensemble): The teachers.
        head (Tensor): Query entities, ``[Q]``, int64, on the host.
        relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
        temperature (float): Temperature, the same for all that is cached.
        fold (Tensor, optional): As in :meth:`Ensemble.ask`.
        use (str): Name of memory that is used again by the next reader with this name. (default: :obj:`"facts"`)
        candidates (Candidates): What the distributions are over; some entities are never cached.
            (default: all :math:`N`)
        workspace_bytes (int, optional): Memory for what teachers said; for all rows at once if :obj:`None`.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import DistMult
        >>> from torch_geometric_dsom.trainer.ensemble import Ensemble
        >>> ensemble = Ensemble([DistMult(5, 1, rank=2).freeze()], torch.ones(5, 1, dtype=torch.bool))
        >>> reader = SoftLabelReader(ensemble, torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), temperature=1.0)
        >>> [tuple(reader.read(rows).shape) for rows in (slice(0, 2), slice(2, 3))]
        [(2, 1, 5), (1, 1, 5)]
    """

    def __init__(
        self,
        ensemble: Ensemble,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None = None,
        use: str = "facts",
        candidates: Candidates = ALL,
        workspace_bytes: int | None = None,
    ) -> None:
        self.ensemble = ensemble
        self.temperature = temperature
        self.use = use
        self.candidates = candidates
        self.num_entities = ensemble.available.size(0) if candidates.entity is None else candidates.entity.numel()
        self._slot = self._stored = None  # places in the cache, and which of them are filled
        new = torch.arange(head.numel())
        if ensemble.cache is not None and candidates.entity is None:
            self._slot = ensemble.cache.slots(ensemble.key(head, relation, fold))
            self._stored = ensemble.cache.is_stored(self._slot)
            new = (~self._stored).nonzero().flatten()
        self._new = new.tolist()
        if len(self._new) < head.numel():
            head, relation, fold = head[new], relation[new], None if fold is None else fold[new]
        self._queries = head, relation, fold  # those to ask for
        most = max(len(self._new), 1)
        if workspace_bytes is not None:
            most = max(1, min(most, workspace_bytes // (ensemble.bytes_per_score(fold) * max(self.num_entities, 1))))
            most = -(-len(self._new) // max(1, -(-len(self._new) // most)))  # parts of about one size
        self._most = most
        self._first = self._last = 0  # of those to ask for, who has been asked for
        self._logits: list[Tensor] = []

    def read(self, rows: slice) -> Tensor:
        """The distributions of some rows, in memory that the next call uses again and that may be overwritten.

        Args:
            rows (slice): Which; they do not begin before the end of those that were read last.

        Returns:
            Tensor: ``[rows, K, N]``; what one teacher says lies together.
        """
        prob, factor = self.read_times(rows)
        return prob if factor == 1.0 else prob.mul_(1.0 / factor)

    @torch.no_grad()
    def read_times(self, rows: slice) -> tuple[Tensor, float]:
        """The same times a factor, and the factor.

        Args:
            rows (slice): As in :meth:`read`.
        """
        first, last = (bisect_left(self._new, bound) for bound in (rows.start, rows.stop))
        number, new = rows.stop - rows.start, last - first
        cache, slot = self.ensemble.cache, self._slot
        if new == number:
            prob = self._ask(first, last, self.use)
            if cache is not None and slot is not None:
                place = (slot[rows] >= 0).nonzero().flatten()
                if place.numel() > 0:
                    some = prob if place.numel() == number else prob[:, place.to(prob.device, non_blocking=True)]
                    cache.write(slot[rows][place], some)
            return prob.transpose(0, 1), 1.0
        assert cache is not None
        assert slot is not None
        assert self._stored is not None
        slabs = self._room(self.use, number)
        if new == 0:
            return cache.read_times(slot[rows], slabs).transpose(0, 1), cache.factor
        stored = self._stored[rows]
        old, fresh = (x.nonzero().flatten() for x in (stored, ~stored))
        slabs.index_copy_(
            1, old.to(slabs.device, non_blocking=True), cache.read(slot[rows][old], self._room("part", old.numel()))
        )
        prob = self._ask(first, last, "part")
        slabs.index_copy_(1, fresh.to(slabs.device, non_blocking=True), prob)
        place = (slot[rows][fresh] >= 0).nonzero().flatten()
        if place.numel() > 0:
            cache.write(slot[rows][fresh][place], prob[:, place.to(prob.device, non_blocking=True)])
        return slabs.transpose(0, 1), 1.0

    def _ask(self, first: int, last: int, use: str) -> Tensor:
        """Distributions ``[K, rows, N]`` of some of those to ask for."""
        if first == last:  # a process may have no part of a batch
            return self._room(use, 0)
        if last > self._last:
            self._first, self._last = first, min(max(first + self._most, last), len(self._new))
            asked = slice(self._first, self._last)
            head, relation, fold = self._queries
            head, relation, fold = head[asked], relation[asked], None if fold is None else fold[asked]
            self._logits = self.ensemble.ask_each(head, relation, fold, f"{self.use}/asked", self.candidates)
        slabs = self._room(use, last - first)
        some = slice(first - self._first, last - self._first)
        for logits, part in zip(self._logits, slabs, strict=True):
            if logits.dtype == part.dtype and self.temperature == 1.0 and self.candidates.log_weight is None:
                torch.softmax(logits[some], dim=-1, out=part)
            else:
                self.candidates.weigh_(part.copy_(logits[some]), self.temperature)
                torch.softmax(part.div_(self.temperature), dim=-1, out=part)
        return slabs

    def _room(self, use: str, rows: int) -> Tensor:
        like = torch.empty(0, device=self.ensemble.available.device)
        return self.ensemble.memory.room(use, (self.ensemble.num_teachers, rows, self.num_entities), like)
