"""1-vs-all cross-entropy over grouped queries."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.nn.workspace import piece_rows

CACHED_BYTES = 1 << 20  # that four passes go over: about what the cores keep for themselves


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


@torch.no_grad()
def grouped_cross_entropy_(scores: Tensor, row: Tensor, target: Tensor, scale: float = 1.0) -> Tensor:
    r"""The value of :func:`grouped_cross_entropy`; the scores become its gradient, in one softmax and one product.

    With :math:`n_i` the number of facts of row :math:`i`, the gradient is
    :math:`\frac{1}{M} \big( n_i \, \mathrm{softmax}(z_i)_j - |\{m : \rho(m) = i, t_m = j\}| \big)`.

    Args:
        scores (Tensor): Scores of the unique queries, ``[Q, N]``; overwritten by the gradient times :obj:`scale`.
        row (Tensor): Row :math:`\rho(m)` of each fact, ``[M]``, int64.
        target (Tensor): Gold entity of each fact, ``[M]``, int64.
        scale (float): Factor of the gradient, not of the value. (default: :obj:`1.0`)

    Returns:
        Tensor: A scalar, without a graph.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.loss import grouped_cross_entropy_
        >>> scores = torch.zeros(1, 4)
        >>> round(float(grouped_cross_entropy_(scores, torch.tensor([0, 0]), torch.tensor([1, 2]))), 4)
        1.3863
        >>> scores
        tensor([[ 0.2500, -0.2500, -0.2500,  0.2500]])
    """
    facts = max(row.numel(), 1)
    gold = scores[row, target]
    count = scores.new_zeros(scores.size(0)).index_add_(0, row, scores.new_ones(()).expand(row.numel()))
    log_sum, count = torch.empty_like(count), count.mul_(scale / facts).unsqueeze(-1)
    size = piece_rows(scores, 1, scores.size(1), CACHED_BYTES, scores.nbytes)
    for some in (slice(start, start + size) for start in range(0, scores.size(0), size)):
        part = scores[some]
        top = part.amax(dim=-1)
        torch.softmax(part, dim=-1, out=part)
        log_sum[some] = top - part.amax(dim=-1).log_()  # of the softmax, only the place of the maximum is 1 / sum
        part.mul_(count[some])
    scores.index_put_((row, target), scores.new_full((), -scale / facts), accumulate=True)
    return (log_sum[row] - gold).sum() / facts
