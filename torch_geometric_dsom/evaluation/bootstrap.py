"""Is one scorer better than another on the same queries, or by luck?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation.metrics import check_ranks


class BootstrapResult(NamedTuple):
    """A difference of MRRs and how sure it is.

    Args:
        difference (float): MRR of the first minus MRR of the second.
        low (float): Lower end of the 95 % interval.
        high (float): Upper end of the 95 % interval.
        p_value (float): Two-sided, from the share of resamples on the other side of zero; never zero.
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(
    ranks_a: Tensor, ranks_b: Tensor, num_samples: int = 10_000, generator: torch.Generator | None = None
) -> BootstrapResult:
    r"""Resamples queries with replacement, both scorers' ranks of a query together.

    With :math:`d_i = 1 / \rho^a_i - 1 / \rho^b_i` and :math:`\bar d_s` its mean over the queries of resample
    :math:`s` of :math:`S`, the interval holds the middle 95 % of :math:`\bar d_s`, and
    :math:`p = 2 (1 + \min(|\{\bar d_s \le 0\}|, |\{\bar d_s \ge 0\}|)) / (1 + S)`, at most one.

    Args:
        ranks_a (Tensor): Ranks of one scorer, ``[M]``.
        ranks_b (Tensor): Ranks of the other on the same queries in the same order, ``[M]``.
        num_samples (int): Number of resamples :math:`S`. (default: :obj:`10000`)
        generator (torch.Generator, optional): Source of the draws, on the CPU; a new one seeded with 0 if
            :obj:`None`.

    Returns:
        BootstrapResult: Difference of MRR, interval and p-value.

    Raises:
        ConfigError: If the number of resamples is below one.
        DataError: If the numbers of ranks differ or are zero, or a rank is not a finite number from 1.

    Example:
        >>> import torch
        >>> result = paired_bootstrap(torch.ones(100), torch.full((100,), 2.0), num_samples=199)
        >>> result.difference, result.p_value
        (0.5, 0.01)
    """
    if num_samples < 1:
        raise ConfigError(f"num_samples: expected a positive number, got {num_samples}")
    if ranks_a.shape != ranks_b.shape or ranks_a.dim() != 1 or ranks_a.numel() == 0:
        shapes = f"{list(ranks_a.shape)} and {list(ranks_b.shape)}"
        raise DataError(f"ranks_a, ranks_b: expected as many ranks each, at least one, got {shapes}")
    check_ranks(ranks_a, "ranks_a")
    check_ranks(ranks_b, "ranks_b")
    generator = generator if generator is not None else torch.Generator().manual_seed(0)
    gain = (ranks_a.double().reciprocal() - ranks_b.double().reciprocal()).cpu()
    mean = torch.empty(num_samples, dtype=torch.float64)
    for part in mean.split(max(1, (1 << 20) // gain.numel())):
        draws = torch.randint(gain.numel(), (part.numel(), gain.numel()), generator=generator)
        part.copy_(gain[draws].mean(dim=-1))
    low, high = mean.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    other_side = min(int((mean <= 0).sum()), int((mean >= 0).sum()))
    p_value = min(1.0, 2 * (1 + other_side) / (1 + num_samples))
    return BootstrapResult(gain.mean().item(), low, high, p_value)
