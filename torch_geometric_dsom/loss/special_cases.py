"""Plain distillation and DKD by name: special cases of the neighbour-decoupled loss."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import as_float, check_logits, check_temperature, reduce
from torch_geometric_dsom.loss.neighbor_decoupled_kd import neighbor_decoupled_kd_loss


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Knowledge distillation of `"Distilling the Knowledge in a Neural Network" <https://arxiv.org/abs/1503.02531>`_.

    .. math::
        \mathcal L = \tau^2 \, \mathrm{KL}\big( p^T \,\big\|\, p^S \big)

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``; gradients flow into it where it asks for them.
        temperature (float): :math:`\tau > 0`. (default: :obj:`1.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, the temperature is not positive or the reduction is unknown.

    Example:
        >>> import torch
        >>> round(float(kd_loss(torch.zeros(1, 2), torch.tensor([[0.75, 0.25]]).log())), 4)  # log 2 minus the entropy
        0.1308
    """
    check_temperature(temperature)
    check_logits(student_logits, teacher_logits, None)
    s = (as_float(student_logits) / temperature).log_softmax(dim=-1)
    t = (as_float(teacher_logits) / temperature).log_softmax(dim=-1)
    return reduce(temperature**2 * (t.exp() * (t - s)).sum(dim=-1), weight, reduction)


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""`"Decoupled Knowledge Distillation" <https://arxiv.org/abs/2203.08679>`_: target against the rest, and the rest.

    .. math::
        \mathcal L = \tau^2 \Big[ \alpha \, \mathrm{KL}\big( (p^T_t, 1 - p^T_t) \,\big\|\, (p^S_t, 1 - p^S_t) \big)
        + \beta \, \mathrm{KL}\big( \hat p^T \,\big\|\, \hat p^S \big) \Big]

    :func:`~torch_geometric_dsom.loss.neighbor_decoupled_kd_loss` with the target as the only neighbour. Defaults are
    those of the paper for CIFAR.

    Args:
        student_logits (Tensor): ``[B, N]``; half floats are computed in float32.
        teacher_logits (Tensor): ``[B, N]``; gradients flow into it where it asks for them.
        target (Tensor): Gold answers :math:`t`, ``[B]``, int64.
        alpha (float): Weight of the target term. (default: :obj:`1.0`)
        beta (float): Weight of the term of the rest. (default: :obj:`8.0`)
        temperature (float): :math:`\tau > 0`. (default: :obj:`4.0`)
        weight (Tensor, optional): Weight of each query, ``[B]``.
        reduction (str): ``"mean"``, ``"sum"`` or ``"none"``. (default: :obj:`"mean"`)

    Returns:
        Tensor: A scalar, or ``[B]`` with ``reduction="none"``.

    Raises:
        ConfigError: If shapes disagree, there is not one target a query, the temperature is not positive or the
            reduction is unknown.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> round(float(dkd_loss(logits, logits, torch.tensor([0]))), 6)
        0.0
    """
    if target.shape != student_logits.shape[:1]:
        raise ConfigError(
            f"target: expected one for each of {student_logits.size(0)} queries, got {list(target.shape)}"
        )
    groups = GroupRows(torch.arange(target.numel(), device=target.device), target, target.numel())
    return neighbor_decoupled_kd_loss(
        student_logits, teacher_logits, groups, alpha, beta, temperature, weight, reduction
    )
