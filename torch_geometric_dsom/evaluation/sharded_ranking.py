"""Filtered ranks where each process has the scores of some of the entities."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.data.count_above import count_above
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.evaluation.ranking import Ranks, check_finite


def sharded_ranks(
    scores: Tensor, target: Tensor, filter_rows: tuple[Tensor, Tensor], row: Tensor, shard: Shard
) -> Ranks:
    """:func:`~torch_geometric_dsom.evaluation.filtered_ranks` of scores that are dealt out: two sums, of a few numbers.

    Args:
        scores (Tensor): Scores of this process's entities for :math:`Q` queries, ``[Q, size]``; overwritten.
        target (Tensor): The gold entity of each fact, ``[M]``, int64, one of all entities.
        filter_rows (tuple[Tensor, Tensor]): Row and entity of each known answer, ``[nnz]`` int64 each.
        row (Tensor): The row of each fact, ``[M]``, int64.
        shard (Shard): Which entities this process has.

    Returns:
        Ranks: The same in every process.

    Raises:
        NonFiniteError: If a score of this process is NaN or infinite.

    Example:
        >>> import torch
        >>> scores, none = torch.tensor([[4.0, 3.0, 3.0, 1.0]]), torch.empty(0, dtype=torch.long)
        >>> sharded_ranks(scores, torch.tensor([1]), (none, none), torch.tensor([0]), Shard.of(4)).realistic
        tensor([2.5000], dtype=torch.float64)
    """
    check_finite(scores)
    mine, place = shard.local(target)
    gold = shard.world.sum_(torch.where(mine, scores[row, place], scores.new_zeros(())))
    there, known = shard.local(filter_rows[1])
    scores[filter_rows[0][there], known[there]] = -torch.inf
    above, not_below = count_above(scores, row, gold)
    itself = (mine & (scores[row, place] == gold)).to(above)  # unless it was among the known answers
    above, not_below, itself = shard.world.sum_(torch.stack([above, not_below, itself]))
    return Ranks(1.0 + above, 1.0 + not_below - itself)
