"""Is one scorer better than another on the same queries, or by luck?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.errors import DataError


class BootstrapResult(NamedTuple):
    """A difference of MRRs and how sure it is.

    Args:
        difference (float): MRR of the first minus MRR of the second.
        low (float): Lower end of the 95 % interval.
        high (float): Upper end of the 95 % interval.
        p_value (float): Two-sided: twice the share of resamples on the other side of zero, at least ``1 / samples``.
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(
    first: Tensor, second: Tensor, num_samples: int = 10_000, generator: torch.Generator | None = None
) -> BootstrapResult:
    """Resamples queries with replacement, both scorers' ranks of a query together.

    Args:
        first (Tensor): Ranks of one scorer, ``[M]``.
        second (Tensor): Ranks of the other on the same queries in the same order, ``[M]``.
        num_samples (int): Number of resamples. (default: :obj:`10000`)
        generator (torch.Generator, optional): Source of the draws; a new one seeded with 0 if :obj:`None`.

    Returns:
        BootstrapResult: Difference of MRR, interval and p-value.

    Raises:
        DataError: If the numbers of ranks differ or are zero.

    Example:
        >>> import torch
        >>> result = paired_bootstrap(torch.ones(100), torch.full((100,), 2.0), num_samples=100)
        >>> result.difference, result.p_value
        (0.5, 0.01)
    """
    if first.shape != second.shape or first.dim() != 1 or first.numel() == 0:
        raise DataError(f"first, second: expected as many ranks each, got {list(first.shape)}, {list(second.shape)}")
    generator = generator if generator is not None else torch.Generator().manual_seed(0)
    gain = first.double().reciprocal() - second.double().reciprocal()
    step = max(1, (1 << 22) // gain.numel())
    means = []
    for start in range(0, num_samples, step):
        draws = torch.randint(gain.numel(), (min(step, num_samples - start), gain.numel()), generator=generator)
        means.append(gain[draws].mean(dim=-1))
    mean = torch.cat(means)
    low, high = mean.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    other_side = min((mean <= 0).double().mean().item(), (mean >= 0).double().mean().item())
    p_value = min(1.0, max(2 * other_side, 1 / num_samples))
    return BootstrapResult(gain.mean().item(), low, high, p_value)
