"""Filtered ranks with an honest treatment of ties."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.errors import DataError, NonFiniteError


class Ranks(NamedTuple):
    """Ranks of targets, from 1; ``[M]``, float64 each.

    Args:
        optimistic (Tensor): The target stands before all entities with its score.
        pessimistic (Tensor): The target stands behind all entities with its score.
    """

    optimistic: Tensor
    pessimistic: Tensor

    @property
    def realistic(self) -> Tensor:
        """The mean of both, which no constant scorer can profit from."""
        return (self.optimistic + self.pessimistic) / 2


def filtered_ranks(
    scores: Tensor, row: Tensor, target: Tensor, known_row: Tensor, known: Tensor, in_place: bool = False
) -> Ranks:
    r"""Ranks of facts among the entities that are not known to be right.

    With :math:`\mathcal K` the known answers of the fact's query, the ranks are
    :math:`1 + |\{j \notin \mathcal K : z_j > z_t\}|` and
    :math:`1 + |\{j \notin \mathcal K, j \ne t : z_j \ge z_t\}|`.

    Args:
        scores (Tensor): Scores of :math:`Q` queries, ``[Q, N]``.
        row (Tensor): The query of each fact, ``[M]``, int64.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        known_row (Tensor): The query of each known answer, ``[nnz]``, int64.
        known (Tensor): The known answers, ``[nnz]``, int64; the targets may be among them.
        in_place (bool): Whether :obj:`scores` may be overwritten, which saves a copy. (default: :obj:`False`)

    Returns:
        Ranks: Optimistic and pessimistic ranks.

    Raises:
        NonFiniteError: If a score is NaN or infinite.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[4.0, 3.0, 3.0, 1.0]])  # entity 0 is known, 1 is asked for, 2 ties with it
        >>> first, nothing = torch.tensor([0]), torch.tensor([], dtype=torch.long)
        >>> filtered_ranks(scores, first, torch.tensor([1]), first, torch.tensor([0])).realistic.item()
        1.5
        >>> filtered_ranks(scores, first, torch.tensor([1]), nothing, nothing).realistic.item()
        2.5
    """
    if scores.dim() != 2:
        raise DataError(f"scores: expected [Q, N], got {list(scores.shape)}")
    if not bool(torch.isfinite(scores.sum())) and not bool(scores.isfinite().all()):
        bad = ~scores.isfinite()
        where = bad.nonzero()[0].tolist()
        raise NonFiniteError(f"scores: {int(bad.sum())} are NaN or infinite, the first at {where}")
    gold = scores[row, target]
    scores = scores if in_place else scores.clone()
    scores[known_row, known] = -torch.inf
    greater, not_less = count_above(scores, row, gold)
    itself = scores[row, target].isfinite()  # the target counts itself, unless it was among the known answers
    return Ranks(1.0 + greater, 1.0 + not_less - itself.double())


def count_above(scores: Tensor, row: Tensor, gold: Tensor) -> tuple[Tensor, Tensor]:
    """How many scores of a row are above a value, and how many are not below it.

    Args:
        scores (Tensor): ``[Q, N]``.
        row (Tensor): Row of each value, ``[M]``, int64.
        gold (Tensor): The values, ``[M]``.

    Returns:
        tuple[Tensor, Tensor]: Both counts, ``[M]``, float64.
    """
    greater = torch.empty(gold.numel(), dtype=torch.float64, device=scores.device)
    not_less = torch.empty_like(greater)
    step = max(1, (1 << 24) // max(scores.size(1), 1))  # bounds the gathered rows to 64 MiB
    for start in range(0, gold.numel(), step):
        part = slice(start, start + step)
        rows, value = scores[row[part]], gold[part].unsqueeze(-1)
        greater[part] = (rows > value).sum(dim=-1).double()
        not_less[part] = (rows >= value).sum(dim=-1).double()
    return greater, not_less
