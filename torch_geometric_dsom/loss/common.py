"""What the losses share: checks, reductions, and groups that are masks or sparse rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.errors import ConfigError

REDUCTIONS = ("mean", "sum", "none")


def check_temperature(temperature: float) -> None:
    """Refuses a temperature that is not positive."""
    if not temperature > 0:
        raise ConfigError(f"temperature: expected a positive number, got {temperature}")


def check_reduction(reduction: str) -> None:
    """Refuses an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ConfigError(f"reduction: expected one of {list(REDUCTIONS)}, got '{reduction}'")


def check_logits(
    student: Tensor, teacher: Tensor, groups: GroupRows | Tensor | None, needs_groups: bool = False
) -> None:
    """Refuses logits and groups whose shapes disagree, and missing groups where there is no loss without them."""
    if student.dim() != 2 or student.shape != teacher.shape:
        raise ConfigError(
            "student_logits, teacher_logits: expected one shape [B, N], "
            f"got {list(student.shape)} and {list(teacher.shape)}"
        )
    if isinstance(groups, Tensor):
        if groups.dtype != torch.bool or groups.shape != student.shape:
            raise ConfigError(
                f"groups: expected a bool mask {list(student.shape)}, got {groups.dtype} {list(groups.shape)}"
            )
    elif groups is None:
        if needs_groups:
            raise ConfigError(f"groups: expected GroupRows or a bool mask {list(student.shape)}, got None")
    elif groups.num_rows != student.size(0):
        raise ConfigError(f"groups: expected {student.size(0)} rows, got {groups.num_rows}")


def as_float(logits: Tensor) -> Tensor:
    """Half floats as float32, in which sums over thousands of entities keep their digits; float64 as it is."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def reduce(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Weighs the losses of queries ``[B]`` and reduces them; the mean divides by :math:`B`.

    Raises:
        ConfigError: If the reduction is unknown, or there is not one weight a query.

    Example:
        >>> import torch
        >>> reduce(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.5]), "sum")
        tensor(2.)
    """
    check_reduction(reduction)
    if weight is not None:
        if weight.shape != loss.shape:
            # A column would silently weigh every query by every weight.
            raise ConfigError(f"weight: expected one for each query, {list(loss.shape)}, got {list(weight.shape)}")
        loss = loss * weight
    if reduction == "none":
        return loss
    return loss.sum() / max(loss.numel(), 1) if reduction == "mean" else loss.sum()


def group_sizes(groups: GroupRows | Tensor, like: Tensor) -> Tensor:
    """Number of entities in each group, ``[B]``."""
    if isinstance(groups, Tensor):
        return groups.sum(dim=-1)
    size = torch.zeros(groups.num_rows, dtype=torch.long, device=like.device)
    return size.index_add_(0, groups.row, torch.ones_like(groups.row))


def log_inside(near: Tensor, groups: GroupRows, empty: Tensor) -> Tensor:
    """Log-sum-exp over each group of the values of its pairs, ``[nnz]`` to ``[B]``; 0 where it is empty.

    Args:
        near (Tensor): A value for each pair, ``[nnz]``.
        groups (GroupRows): The groups.
        empty (Tensor): Which groups are empty, ``[B]`` bool.
    """
    top = near.new_zeros(groups.num_rows).scatter_reduce(0, groups.row, near.detach(), "amax", include_self=False)
    total: Tensor = scatter((near - top[groups.row]).exp(), groups.row, dim_size=groups.num_rows)
    return (total.masked_fill(empty, 1.0).log() + top).masked_fill(empty, 0.0)


def outside(z: Tensor, groups: GroupRows | Tensor, whole: Tensor) -> Tensor:
    """Logits with the group at minus infinity; rows whose group holds every entity are left finite.

    Args:
        z (Tensor): ``[B, N]``.
        groups (GroupRows or Tensor): The groups.
        whole (Tensor): Which groups hold every entity, ``[B]`` bool.
    """
    if isinstance(groups, Tensor):
        return z.masked_fill(groups & ~whole.unsqueeze(-1), -torch.inf)
    # Pairs of whole groups write what is there already: their number must not depend on the values.
    fill = z.new_full((), -torch.inf).expand(groups.row.numel())
    kept = z[groups.row, groups.entity]
    return z.index_put((groups.row, groups.entity), torch.where(whole[groups.row], kept, fill))


def inside(z: Tensor, groups: GroupRows | Tensor) -> Tensor:
    """Logits with all but the group at minus infinity, ``[B, N]``."""
    if isinstance(groups, Tensor):
        return z.masked_fill(~groups, -torch.inf)
    pairs = (groups.row, groups.entity)
    return torch.full_like(z, -torch.inf).index_put(pairs, z[pairs])
