"""What ranks are made of: how many scores of a row are above one of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def count_above(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """How many scores of a row are above a value, and how many are not below it.

    Args:
        scores (Tensor): ``[Q, N]``.
        row (Tensor): Row of each value, ``[M]``, int64.
        value (Tensor): The values, ``[M]``, of the dtype of :obj:`scores`.

    Returns:
        tuple[Tensor, Tensor]: Both counts, ``[M]``, float64.

    Example:
        >>> import torch
        >>> count_above(torch.tensor([[3.0, 2.0, 2.0]]), torch.tensor([0]), torch.tensor([2.0]))
        (tensor([1.], dtype=torch.float64), tensor([3.], dtype=torch.float64))
    """
    return (_count_on_cpu if scores.device.type == "cpu" else _count_on_device)(scores, row, value)


def _count_on_cpu(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Counts by views of rows: no copies, and a 20th of the time of torch's sums of booleans."""
    if scores.dtype not in (torch.float32, torch.float64):
        scores, value = scores.float(), value.float()
    count = np.empty((2, row.numel()))
    table, values = scores.detach().numpy(), value.detach().numpy()
    for fact, place in enumerate(row.tolist()):
        count[0, fact] = np.count_nonzero(table[place] > values[fact])
        count[1, fact] = np.count_nonzero(table[place] >= values[fact])
    above, not_below = torch.from_numpy(count)
    return above, not_below


def _count_on_device(scores: Tensor, row: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Counts on gathered rows, so many at a time that they take 64 MiB."""
    above, not_below = torch.empty(2, row.numel(), dtype=torch.float64, device=scores.device)
    step = max(1, (1 << 24) // max(scores.size(1), 1))
    for start in range(0, row.numel(), step):
        part = slice(start, start + step)
        rows, limit = scores[row[part]], value[part].unsqueeze(-1)
        above[part] = (rows > limit).sum(dim=-1).double()
        not_below[part] = (rows >= limit).sum(dim=-1).double()
    return above, not_below
