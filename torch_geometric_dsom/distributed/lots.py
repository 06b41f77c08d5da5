"""Random numbers for the rows of a batch of which this process has a part."""

from __future__ import annotations

import torch
from torch import Tensor


def rand_rows(
    shape: tuple[int, ...],
    generator: torch.Generator,
    around: tuple[int, int] = (0, 0),
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform numbers for some rows; those of the rows before and after are drawn as well and thrown away.

    So each process has the numbers that one process would have had for these rows, and the same generator afterwards.

    Args:
        shape (tuple[int, ...]): Rows first.
        generator (torch.Generator): Their source; the numbers are where it is.
        around (tuple[int, int]): How many rows other processes have before and after. (default: :obj:`(0, 0)`)
        dtype (torch.dtype, optional): Of the numbers; the default one if :obj:`None`.

    Example:
        >>> import torch
        >>> whole = rand_rows((5, 2), torch.Generator().manual_seed(0))
        >>> part = rand_rows((2, 2), torch.Generator().manual_seed(0), around=(1, 2))
        >>> torch.equal(part, whole[1:3])
        True
    """
    before, after = around
    number = before + shape[0] + after
    lots = torch.rand(number, *shape[1:], generator=generator, device=generator.device, dtype=dtype)
    return lots[before : before + shape[0]]
