"""1-vs-all cross-entropy over grouped queries."""

from __future__ import annotations

from torch import Tensor


def grouped_cross_entropy(scores: Tensor, row: Tensor, target: Tensor) -> Tensor:
    r"""Softmax cross-entropy of facts whose equal queries share one row of scores.

    .. math::
        \frac{1}{M} \sum_{m=1}^{M} \Big( \log \sum_{j} e^{z_{\rho(m), j}} - z_{\rho(m), t_m} \Big)

    It equals the cross-entropy over the :math:`M` facts one by one, and scores each query once.

    Args:
        scores (Tensor): Scores of the unique queries, ``[Q, N]``.
        row (Tensor): Row :math:`\rho(m)` of each fact, ``[M]``, int64.
        target (Tensor): Gold entity of each fact, ``[M]``, int64.

    Returns:
        Tensor: A scalar.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import grouped_cross_entropy
        >>> scores = torch.zeros(1, 4)  # one query, two answers, four entities: log 4
        >>> round(float(grouped_cross_entropy(scores, torch.tensor([0, 0]), torch.tensor([1, 2]))), 4)
        1.3863
    """
    return (scores.logsumexp(dim=-1)[row] - scores[row, target]).mean()
