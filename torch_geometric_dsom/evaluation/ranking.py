"""Filtered ranks with an honest treatment of ties."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data.count_above import count_above
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
    scores: Tensor,
    target: Tensor,
    filter_rows: tuple[Tensor, Tensor] | None = None,
    row: Tensor | None = None,
    in_place: bool = False,
) -> Ranks:
    r"""Ranks of facts among the entities that are not known to be right.

    With :math:`\mathcal K` the known answers of the fact's query, the ranks are
    :math:`1 + |\{j \notin \mathcal K : z_j > z_t\}|` and
    :math:`1 + |\{j \notin \mathcal K, j \ne t : z_j \ge z_t\}|`.

    Args:
        scores (Tensor): Scores of :math:`Q` queries, ``[Q, N]``.
        target (Tensor): The gold entity of each fact, ``[M]``, int64.
        filter_rows (tuple[Tensor, Tensor], optional): Row and entity of each known answer, ``[nnz]`` int64 each; the
            targets may be among them and are never left out themselves.
        row (Tensor, optional): The row of each fact, ``[M]``, int64; one fact a row, in order, if :obj:`None`.
        in_place (bool): Whether :obj:`scores` may be overwritten, which saves a copy. (default: :obj:`False`)

    Returns:
        Ranks: Optimistic and pessimistic ranks.

    Raises:
        DataError: If the shapes do not fit.
        NonFiniteError: If a score is NaN or infinite.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[4.0, 3.0, 3.0, 1.0]])  # entity 0 is known, 1 is asked for, 2 ties with it
        >>> filtered_ranks(scores, torch.tensor([1]), (torch.tensor([0]), torch.tensor([0]))).realistic.item()
        1.5
        >>> filtered_ranks(scores, torch.tensor([1])).realistic.item()
        2.5
    """
    if scores.dim() != 2:
        raise DataError(f"scores: expected [Q, N], got {list(scores.shape)}")
    row = torch.arange(scores.size(0), device=scores.device) if row is None else row
    if target.shape != row.shape:
        raise DataError(f"target: expected one entity for each of {row.numel()} rows, got {list(target.shape)}")
    check_finite(scores)
    gold = scores[row, target]
    if filter_rows is not None:
        scores = scores if in_place else scores.clone()
        scores[filter_rows] = -torch.inf
    above, not_below = count_above(scores, row, gold)
    itself = scores[row, target] == gold  # the target counts itself, unless it was among the known answers
    return Ranks(1.0 + above, 1.0 + not_below - itself.double())


def check_finite(scores: Tensor) -> None:
    """Refuses scores that are NaN or infinite.

    Raises:
        NonFiniteError: Names the first of them.

    Example:
        >>> import torch
        >>> check_finite(torch.zeros(2, 3))
    """
    if bool(scores.sum().isfinite()):  # one pass without a temporary; an overflow of the sum only costs the second look
        return
    bad = ~scores.isfinite()
    if bool(bad.any()):
        query, entity = bad.nonzero()[0].tolist()
        count, total = int(bad.sum()), scores.numel()
        raise NonFiniteError(
            f"scores: {count} of {total} are NaN or infinite, the first {scores[query, entity].item()} "
            f"at query {query}, entity {entity}"
        )
