"""Mean reciprocal rank, hits and mean rank, gathered batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError, DataError

DIRECTIONS = ("head", "tail")


@dataclass(frozen=True, eq=False)
class RankingResult:
    r"""Metrics of a set of ranks.

    .. math::
        \mathrm{MRR} = \frac{1}{M} \sum_i \frac{1}{\rho_i} \qquad
        \mathrm{Hits@}k = \frac{1}{M} \sum_i [\rho_i \le k] \qquad
        \mathrm{MR} = \frac{1}{M} \sum_i \rho_i

    Args:
        ranks (Tensor): The ranks :math:`\rho`, from 1, ``[M]``.
        direction (Tensor): For each rank whether the tail (1) or the head (0) was asked for, ``[M]``.

    Raises:
        DataError: If there is no rank, one is not a finite number from 1, or the directions are not as many.

    Example:
        >>> import torch
        >>> result = RankingResult(torch.tensor([1.0, 4.0]), torch.tensor([1, 0]))
        >>> result.mrr, result.hits_at(3), result.mean_rank, result.head.mrr
        (0.625, 0.5, 2.5, 0.25)
    """

    ranks: Tensor
    direction: Tensor

    def __post_init__(self) -> None:
        if self.ranks.numel() == 0:
            raise DataError("ranks: expected at least one, got none; is the split empty?")
        if self.direction.shape != self.ranks.shape or self.ranks.dim() != 1:
            shapes = f"{list(self.ranks.shape)} and {list(self.direction.shape)}"
            raise DataError(f"ranks, direction: expected [M] each, got {shapes}")
        check_ranks(self.ranks, "ranks")

    @property
    def count(self) -> int:
        """Number of ranks."""
        return self.ranks.numel()

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank, in (0, 1]."""
        return self.ranks.double().reciprocal().mean().item()

    def hits_at(self, k: int) -> float:
        """Share of ranks up to :obj:`k`, in [0, 1]."""
        if k < 1:
            raise ConfigError(f"k: expected a positive number, got {k}")
        return (self.ranks <= k).double().mean().item()

    @property
    def mean_rank(self) -> float:
        """Mean rank, from 1."""
        return self.ranks.double().mean().item()

    @property
    def head(self) -> RankingResult | None:
        """The same for queries ``(?, r, t)``; :obj:`None` if there were none."""
        return self._only(0)

    @property
    def tail(self) -> RankingResult | None:
        """The same for queries ``(h, r, ?)``; :obj:`None` if there were none."""
        return self._only(1)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers: MRR, Hits@1/3/10, mean rank and count, of all, head and tail queries."""
        parts: dict[str, RankingResult | None] = {"both": self, "head": self.head, "tail": self.tail}
        return {name: part._numbers() for name, part in parts.items() if part is not None}

    def _numbers(self) -> dict[str, float | int]:
        hits = {f"hits@{k}": self.hits_at(k) for k in (1, 3, 10)}
        return {"mrr": self.mrr, **hits, "mean_rank": self.mean_rank, "count": self.count}

    def _only(self, direction: int) -> RankingResult | None:
        chosen = self.direction == direction
        return RankingResult(self.ranks[chosen], self.direction[chosen]) if bool(chosen.any()) else None

    def __str__(self) -> str:
        lines = ["        MRR  Hits@1  Hits@3 Hits@10    mean rank     count"]
        for name, numbers in self.to_dict().items():
            shares = " ".join(f"{numbers[key]:7.4f}" for key in ("hits@1", "hits@3", "hits@10"))
            lines.append(f"{name} {numbers['mrr']:.4f} {shares} {numbers['mean_rank']:12.1f} {numbers['count']:9d}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        hits = ", ".join(f"hits@{k}={self.hits_at(k):.4f}" for k in (1, 3, 10))
        return f"{type(self).__name__}(mrr={self.mrr:.4f}, {hits}, mean_rank={self.mean_rank:.1f}, count={self.count})"


class RankingMetrics:
    """Gathers ranks batch by batch.

    Example:
        >>> import torch
        >>> metrics = RankingMetrics()
        >>> metrics.update(torch.tensor([1.0, 2.0]), direction="tail")
        >>> metrics.update(torch.tensor([4.0]), direction="head")
        >>> metrics.compute().count
        3
    """

    def __init__(self) -> None:
        self._ranks: list[Tensor] = []
        self._direction: list[Tensor] = []

    def update(self, ranks: Tensor, direction: str) -> None:
        """Adds ranks.

        Args:
            ranks (Tensor): From 1, ``[M]``.
            direction (str): ``"tail"`` or ``"head"``: what was asked for.

        Raises:
            ConfigError: If the direction is unknown.
            DataError: If a rank is not a finite number from 1.
        """
        if direction not in DIRECTIONS:
            raise ConfigError(f"direction: expected one of {list(DIRECTIONS)}, got '{direction}'")
        check_ranks(ranks, "ranks")
        self._ranks.append(ranks.detach().to("cpu", torch.float64, copy=True).flatten())
        self._direction.append(torch.full((ranks.numel(),), DIRECTIONS.index(direction)))

    def compute(self) -> RankingResult:
        """The metrics of all ranks so far.

        Returns:
            RankingResult: The ranks in the order in which they came.

        Raises:
            DataError: If there is none.
        """
        if not self._ranks:
            raise DataError("ranks: expected at least one update before compute, got none")
        return RankingResult(torch.cat(self._ranks), torch.cat(self._direction))

    def reset(self) -> None:
        """Forgets all ranks."""
        self._ranks.clear()
        self._direction.clear()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(count={sum(ranks.numel() for ranks in self._ranks)})"


def check_ranks(ranks: Tensor, name: str) -> None:
    """Refuses ranks that cannot be.

    Args:
        ranks (Tensor): From 1, of any shape.
        name (str): What the error calls them.

    Raises:
        DataError: If one is not a finite number from 1.

    Example:
        >>> import torch
        >>> check_ranks(torch.tensor([1.0, 2.5]), "ranks")
    """
    bad = ranks[~((ranks >= 1) & ranks.isfinite())]
    if bad.numel():
        raise DataError(f"{name}: expected finite numbers from 1, got {bad[0].item()} and {bad.numel() - 1} more such")
