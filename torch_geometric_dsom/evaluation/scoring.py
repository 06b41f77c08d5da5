"""Scores of batches of queries, written into one buffer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeGuard

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import DataError
from torch_geometric_dsom.nn import Scorer, ShardedScorer, product

SCORE_BYTES = 64 << 20


class TailScorer(Protocol):
    """Anything that scores all entities as answers."""

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores ``[B, N]`` of queries with relations in ``[0, 2R)``."""


@torch.no_grad()
def score_into(
    scorer: Scorer,
    head: Tensor,
    rel: Tensor,
    table: Tensor,
    out: Tensor,
    narrow: Tensor | None = None,
    candidates: Tensor | None = None,
) -> Tensor:
    """Scores of entities, written where they belong.

    Args:
        scorer (Scorer): Who scores.
        head (Tensor): Query entities, ``[B]``, int64.
        rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
        table (Tensor): Its entity table, ``[N, entity_dim]``.
        out (Tensor): Memory for the scores, ``[B, N]`` or ``[B, C]``.
        narrow (Tensor, optional): The entity table in a narrower dtype, in which products are computed then.
        candidates (Tensor, optional): Entities to score, ``[C]``, int64; all of them if :obj:`None`.

    Returns:
        Tensor: :obj:`out`.
    """
    query = scorer.query(head, rel, table)
    if candidates is not None:
        table, narrow = table[candidates], None if narrow is None else narrow[candidates]
    if not scorer.interaction.is_product:
        return out.copy_(scorer.score(query, table))
    if narrow is not None:
        return product(query, narrow.T, narrow.dtype, out=out)
    return torch.mm(query, table.T, out=out)


class ScoreBuffer:
    """Asks a scorer for the scores of all entities, batch after batch, without new memory for each.

    The entity table of a :class:`~torch_geometric_dsom.nn.Scorer` is computed once; where it scores by a matrix
    product, that goes straight into the buffer.

    Args:
        scorer (object): With ``score_tails(head, rel) -> [B, N]``.
        num_entities (int): Number of entities :math:`N`.
        batch_size (int): The most queries that will be asked at once.

    Example:
        >>> import torch
        >>> class Constant:
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return torch.ones(head.numel(), 3)
        >>> ScoreBuffer(Constant(), num_entities=3, batch_size=8)(torch.tensor([0]), torch.tensor([1]))
        tensor([[1., 1., 1.]])
    """

    def __init__(self, scorer: TailScorer, num_entities: int, batch_size: int) -> None:
        self.scorer = scorer
        self.num_entities = num_entities
        self.batch_size = batch_size
        self._device = device_of(scorer)
        self.shard = scorer.shard if isinstance(scorer, ShardedScorer) else None  # of the entities it is asked about
        self._buffer: Tensor | None = None
        self._table: Tensor | None = None

    def __call__(self, head: Tensor, rel: Tensor) -> Tensor:
        """The scores of a batch, valid until the next call; the caller may overwrite them.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.

        Returns:
            Tensor: ``[B, N]`` on the device of the scorer, the columns of this process where it is sharded.

        Raises:
            DataError: If the scorer gives something else than ``[B, N]`` real numbers.
        """
        if self._device is not None:
            head, rel = head.to(self._device), rel.to(self._device)
        if self._buffer is None:
            sample = self._ask(head[:4], rel[:4])
            dtype = sample.dtype if sample.dtype in (torch.float32, torch.float64) else _wide(sample.dtype)
            size = self.batch_size, self.num_entities if self.shard is None else self.shard.size
            self._buffer = torch.empty(size, dtype=dtype, device=sample.device)
            if isinstance(self.scorer, ShardedScorer) or (is_tower(self.scorer) and dtype == sample.dtype):
                self._table = self.scorer.entity_table().detach()
        scores = self._buffer[: head.numel()]
        if self._table is None:
            return scores.copy_(self._ask(head, rel))
        assert isinstance(self.scorer, Scorer)
        return score_into(self.scorer, head, rel, self._table, scores)

    def _ask(self, head: Tensor, rel: Tensor) -> Tensor:
        scores = self.scorer.score_tails(head, rel)
        expected = [head.numel(), self.num_entities]
        if not isinstance(scores, Tensor) or scores.is_complex() or list(scores.shape) != expected:
            got = f"{list(scores.shape)} {scores.dtype}" if isinstance(scores, Tensor) else type(scores).__name__
            raise DataError(f"scorer.score_tails: expected real scores of shape {expected}, got {got}")
        return scores


def is_tower(scorer: object) -> TypeGuard[Scorer]:
    """Whether the scores are known to be queries compared with the entity table and nothing else."""
    plain = (Scorer.score_tails, Scorer.score)
    return isinstance(scorer, Scorer) and (type(scorer).score_tails, type(scorer).score) == plain


@contextmanager
def evaluation_mode(scorer: object) -> Iterator[None]:
    """Puts a module into evaluation mode for a while; afterwards each of its parts is in the mode that it was in.

    Args:
        scorer (object): A module; anything else is left alone.

    Example:
        >>> from torch import nn
        >>> model = nn.Dropout()
        >>> with evaluation_mode(model):
        ...     print(model.training)
        False
        >>> model.training
        True
    """
    modes = [(part, part.training) for part in scorer.modules()] if isinstance(scorer, nn.Module) else []
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _wide(dtype: torch.dtype) -> torch.dtype:
    """A type that holds all values of half floats or integers and can be minus infinity."""
    return torch.float32 if dtype.is_floating_point else torch.float64


def device_of(scorer: object) -> torch.device | None:
    """Where a scorer is, if it is a module with tensors.

    Args:
        scorer (object): Anything.

    Example:
        >>> from torch import nn
        >>> device_of(nn.Linear(1, 1)), device_of("something else")
        (device(type='cpu'), None)
    """
    if not isinstance(scorer, nn.Module):
        return None
    first = next(scorer.parameters(), next(scorer.buffers(), None))
    return None if first is None else first.device
