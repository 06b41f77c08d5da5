"""Logits parted by groups that are pairs: their softmax outside, their sums inside and outside."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.loss.common import group_sizes, log_inside


class PartedLogits(NamedTuple):
    """Logits and a few sums over them, inside and outside a group for each row.

    Args:
        outside (Tensor): Softmax over the entities outside the group, zero inside, ``[Q, N]``.
        pairs (Tensor): Logits of the pairs of the groups, ``[nnz]``.
        log_all (Tensor): Log-sum-exp of all logits, ``[Q]``.
        log_near (Tensor): Log-sum-exp of the logits inside the group, ``[Q]``; 0 where there are none.
        log_rest (Tensor): Log-sum-exp of the logits outside the group, ``[Q]``; 0 where there are none.
        whole (Tensor): Which groups hold every entity, ``[Q]`` bool.
        empty (Tensor): Which groups hold none, ``[Q]`` bool.
    """

    outside: Tensor
    pairs: Tensor
    log_all: Tensor
    log_near: Tensor
    log_rest: Tensor
    whole: Tensor
    empty: Tensor


@torch.no_grad()
def part_logits(logits: Tensor, groups: GroupRows, room: Tensor | None = None) -> PartedLogits:
    """Parts logits; they are written to on the way, and are what they were in the end.

    Args:
        logits (Tensor): ``[Q, N]``.
        groups (GroupRows): Group of each row.
        room (Tensor, optional): Memory for :obj:`PartedLogits.outside`, ``[Q, N]``; fresh memory if :obj:`None`.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.data import GroupRows
        >>> parted = part_logits(torch.zeros(1, 4), GroupRows(torch.tensor([0]), torch.tensor([2]), 1))
        >>> parted.outside.mul(3).round(), parted.log_rest.exp().round()
        (tensor([[1., 1., 0., 1.]]), tensor([3.]))
    """
    where = (groups.row, groups.entity)
    pairs, size = logits[where], group_sizes(groups, logits)
    whole, empty = size == logits.size(-1), size == 0
    # Groups that hold everything stay finite; what comes of them is multiplied by zero.
    logits.index_put_(where, pairs.masked_fill(~whole[groups.row], -torch.inf))
    top = logits.amax(dim=-1)
    room = torch.empty_like(logits) if room is None else room
    torch.softmax(logits, dim=-1, out=room)
    logits.index_put_(where, pairs)
    log_rest = (top - room.amax(dim=-1).log()).masked_fill(whole, 0.0)
    log_near = log_inside(pairs, groups, empty)
    both = torch.logaddexp(log_near, log_rest)
    log_all = torch.where(whole, log_near, torch.where(empty, log_rest, both))
    return PartedLogits(room, pairs, log_all, log_near, log_rest, whole, empty)
