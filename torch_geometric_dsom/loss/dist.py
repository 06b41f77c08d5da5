"""Distillation by correlation instead of divergence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import (
    as_float,
    check_logits,
    check_reduction,
    check_temperature,
    group_sizes,
    inside,
    outside,
    reduce,
)


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    groups: GroupRows | Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    intra: float = 0.0,
) -> Tensor:
    r"""DIST, of `"Knowledge Distillation from A Stronger Teacher" <https://arxiv.org/abs/2205.10536>`_, with groups.

    With :math:`\rho` the Pearson correlation over entities,

    .. math::
        \mathcal L = \tau^2 \Big[ \alpha \big( 1 - \rho(\hat p^T_N, \hat p^S_N) \big)
        + \beta \big( 1 - \rho(\hat p^T_O, \hat p^S_O) \big)
        + \gamma \, \tfrac{1}{N} \sum_j \big( 1 - \rho(p^T_{\cdot j}, p^S_{\cdot j}) \big) \Big]

    where the last term, the paper's intra-class relation, correlates the batch for each entity. Without groups
    :math:`\mathcal N` is everything, as in the paper. A part with fewer than two entities, or in which one side does
    not vary beyond rounding, counts as zero; so does the intra-class term of a single query.

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``.
        groups (GroupRows or Tensor, optional): Neighbours, as rows or as a bool mask ``[B, N]``.
        alpha (float): Weight inside the groups, of everything without groups. (default: :obj:`1.0`)
        beta (float): Weight outside the groups; not used without groups. (default: :obj:`1.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``; not of the intra-class term.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        intra (float): Weight :math:`\gamma` of the intra-class term. (default: :obj:`0.0`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, the temperature is not positive, the reduction is unknown, ``intra`` is
            negative, or an intra-class term, which is none of a single query, is asked for without a reduction.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> round(float(dist_loss(logits, logits)), 6)
        0.0
    """
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits, groups)
    _check_intra(intra, reduction)
    s, t = as_float(student_logits) / temperature, as_float(teacher_logits) / temperature
    if groups is None:
        loss = alpha * (1.0 - pearson(s.softmax(dim=-1), t.softmax(dim=-1), torch.ones_like(s, dtype=torch.bool)))
    else:
        size = group_sizes(groups, s)
        whole, empty = size == s.size(-1), size == 0
        near = _part_loss(s, t, inside(s, groups), inside(t, groups), empty)
        rest = _part_loss(s, t, outside(s, groups, whole), outside(t, groups, whole), whole)
        loss = alpha * near + beta * rest
    total = reduce(temperature**2 * loss, weight, reduction)
    if intra > 0 and s.size(0) > 0:
        columns = torch.ones_like(s.T, dtype=torch.bool)
        each = 1.0 - pearson(s.softmax(dim=-1).T, t.softmax(dim=-1).T, columns)
        total = total + intra * temperature**2 * each.mean()
    return total


class DISTLoss(nn.Module):
    """Module form of :func:`dist_loss`.

    Args:
        alpha (float): Weight inside the groups. (default: :obj:`1.0`)
        beta (float): Weight outside the groups. (default: :obj:`1.0`)
        temperature (float): Temperature :math:`> 0`. (default: :obj:`1.0`)
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)
        intra (float): Weight of the intra-class term. (default: :obj:`0.0`)

    Raises:
        ConfigError: If the temperature is not positive, the reduction is unknown, ``intra`` is negative, or an
            intra-class term is asked for without a reduction.

    Example:
        >>> import torch
        >>> loss = DISTLoss(temperature=2.0)
        >>> mask = torch.tensor([[True, True, False, False]])
        >>> student, teacher = torch.tensor([[2.0, 1.0, 0.0, 1.0]]), torch.tensor([[1.0, 2.0, 0.0, 1.0]])
        >>> round(float(loss(student, teacher, mask)), 4)  # 4 (2 + 0): opposite inside, alike outside
        8.0
    """

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 1.0,
        temperature: float = 1.0,
        reduction: str = "mean",
        intra: float = 0.0,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_reduction(reduction)
        _check_intra(intra, reduction)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.reduction = reduction
        self.intra = intra

    def forward(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        groups: GroupRows | Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """See :func:`dist_loss`."""
        options = (self.alpha, self.beta, self.temperature, weight, self.reduction, self.intra)
        return dist_loss(student_logits, teacher_logits, groups, *options)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        weights = f"alpha={self.alpha}, beta={self.beta}, intra={self.intra}"
        return f"{weights}, temperature={self.temperature}, reduction='{self.reduction}'"


def _check_intra(intra: float, reduction: str) -> None:
    if not intra >= 0:
        raise ConfigError(f"intra: expected a number that is not negative, got {intra}")
    if intra > 0 and reduction == "none":
        raise ConfigError("reduction: expected 'mean' or 'sum' with an intra-class term, got 'none'")


def _part_loss(s: Tensor, t: Tensor, part_s: Tensor, part_t: Tensor, nothing: Tensor) -> Tensor:
    """One minus the correlation within a part of the entities, ``[B]``; zero where there is none of them."""
    # A row without such entities is given all its logits, which keeps it finite, and then left out.
    part_s, part_t = torch.where(nothing.unsqueeze(-1), s, part_s), torch.where(nothing.unsqueeze(-1), t, part_t)
    there = (part_s > -torch.inf) & ~nothing.unsqueeze(-1)
    return 1.0 - pearson(part_s.softmax(dim=-1), part_t.softmax(dim=-1), there)


def pearson(x: Tensor, y: Tensor, there: Tensor) -> Tensor:
    """Correlation of the entries of each row that are there, ``[B, N]`` each to ``[B]``; one where it is not defined.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 2.0, 3.0]])
        >>> pearson(x, -x, torch.ones(1, 3, dtype=torch.bool))
        tensor([-1.])
    """
    count = there.sum(dim=-1, keepdim=True).clamp_min(1)
    x, y = x.masked_fill(~there, 0.0), y.masked_fill(~there, 0.0)
    top_x, top_y = _size(x), _size(y)
    x = (x - x.sum(dim=-1, keepdim=True) / count).masked_fill(~there, 0.0)
    y = (y - y.sum(dim=-1, keepdim=True) / count).masked_fill(~there, 0.0)
    x, y = x / _scale(x, top_x), y / _scale(y, top_y)
    variance = x.square().sum(dim=-1) * y.square().sum(dim=-1)
    varies = variance > 0
    safe = torch.where(varies, variance, torch.ones_like(variance))
    return torch.where(varies, (x * y).sum(dim=-1) / safe.sqrt(), torch.ones_like(safe))


def _size(x: Tensor) -> Tensor:
    return x.detach().abs().amax(dim=-1, keepdim=True)


def _scale(deviation: Tensor, top: Tensor) -> Tensor:
    """Largest deviation of each row, so that tiny ones do not underflow when squared; infinite if mere rounding."""
    # The mean of equal entries is not quite their value: what is left would have a direction, and a huge gradient.
    size, info = _size(deviation), torch.finfo(deviation.dtype)
    varies = size > 16 * (info.eps * top).clamp_min(info.tiny)
    return torch.where(varies, size, torch.full_like(size, torch.inf))
