"""The decoupled loss where each process has the logits of some of the entities: a maximum, then sums.

With the numbers of a row that these two messages give, the loss is the same everywhere and the gradient of each process
is that of its own entities: :func:`~torch_geometric_dsom.loss.mixed_kd_loss` and
:func:`~torch_geometric_dsom.loss.mixed_kd_gradient_` do not know the difference.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.loss.mixed_kd import SoftLabels, StudentView


class ShardedView(StudentView):
    """A view of a part of the logits, whose sums are those over all of them; it knows the logits of some answers."""

    shard: Shard
    keys: Tensor  # of the pairs (row, entity) whose logits it knows, ascending
    known: Tensor

    def log_prob(self, row: Tensor, entity: Tensor) -> Tensor:
        """Log-probabilities of answers that were named before, ``[M]``; entities are numbered over all processes."""
        place = torch.searchsorted(self.keys, row * self.shard.number + entity)
        return self.known[place] - self.log_all[row]


@torch.no_grad()
def sharded_softmax_(logits: Tensor, shard: Shard, log_norm: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A softmax over the entities of all processes, in the memory of the logits.

    Args:
        logits (Tensor): Logits of this process's entities, ``[..., size]``; overwritten by probabilities.
        shard (Shard): Which entities this process has.
        log_norm (Tensor, optional): The log-sum-exps, ``[...]``, where they are known: then nothing is sent.

    Returns:
        tuple[Tensor, Tensor]: Probabilities and log-sum-exps.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.distributed import Shard
        >>> sharded_softmax_(torch.zeros(1, 4), Shard.of(4))[0]
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if log_norm is not None:
        return logits.sub_(log_norm.unsqueeze(-1)).exp_(), log_norm
    top = shard.world.max_(logits.amax(dim=-1))
    total = shard.world.sum_(logits.sub_(top.unsqueeze(-1)).exp_().sum(dim=-1))
    return logits.div_(total.unsqueeze(-1)), top + total.log()


@torch.no_grad()
def sharded_cross_entropy_(
    scores: Tensor, row: Tensor, target: Tensor, shard: Shard, place: tuple[Tensor, Tensor], scale: float = 1.0
) -> Tensor:
    """:func:`~torch_geometric_dsom.loss.grouped_cross_entropy_` over the entities of all processes.

    Args:
        scores (Tensor): Scores of this process's entities, ``[Q, size]``; overwritten by their gradient.
        row (Tensor): Row of each fact, ``[M]``, int64.
        target (Tensor): Gold entity of each fact, ``[M]``, int64.
        shard (Shard): Which entities this process has.
        place (tuple[Tensor, Tensor]): Which targets are among the scores, ``[M]`` bool, and in which columns.
        scale (float): Factor of the gradient, not of the value. (default: :obj:`1.0`)

    Returns:
        Tensor: A scalar, the same in every process.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.distributed import Shard
        >>> shard, target = Shard.of(4), torch.tensor([1])
        >>> value = sharded_cross_entropy_(torch.zeros(1, 4), torch.tensor([0]), target, shard, shard.local(target))
        >>> round(float(value), 4)
        1.3863
    """
    facts, (mine, column) = max(row.numel(), 1), place
    top = shard.world.max_(scores.amax(dim=-1))
    gold = torch.where(mine, scores[row, column], scores.new_zeros(()))
    scores.sub_(top.unsqueeze(-1)).exp_()
    total, gold = shard.world.sum_(torch.cat([scores.sum(dim=-1), gold])).split([scores.size(0), row.numel()])
    value: Tensor = ((top + total.log())[row] - gold).sum() / facts
    count = scores.new_zeros(scores.size(0)).index_add_(0, row, scores.new_ones(()).expand(row.numel()))
    scores.mul_((count * (scale / facts) / total).unsqueeze(-1))
    scores.index_put_((row[mine], column[mine]), scores.new_full((), -scale / facts), accumulate=True)
    return value


@torch.no_grad()
def sharded_view(
    logits: Tensor,
    prob: Tensor,
    groups: GroupRows,
    temperature: float,
    shard: Shard,
    answers: tuple[Tensor, Tensor],
    columns: tuple[Tensor, Tensor],
    room: Tensor | None = None,
) -> tuple[ShardedView, SoftLabels]:
    """What :func:`~torch_geometric_dsom.loss.view_student` and :func:`~torch_geometric_dsom.loss.part_labels` give.

    Args:
        logits (Tensor): The student's logits of this process's entities, ``[Q, size]``; overwritten.
        prob (Tensor): The teachers' distributions over all entities, those of this process, ``[Q, K, size]``;
            overwritten.
        groups (GroupRows): Those neighbours that this process has, by column.
        temperature (float): Temperature of the distributions.
        shard (Shard): Which entities this process has.
        answers (tuple[Tensor, Tensor]): Rows and entities whose logits will be asked for, ``[P]`` int64 each.
        columns (tuple[Tensor, Tensor]): Which of those are among the logits, ``[P]`` bool, and in which columns.
        room (Tensor, optional): Memory for what is outside the groups, ``[Q, size]``; fresh memory if :obj:`None`.

    Returns:
        tuple[ShardedView, SoftLabels]: Student and teachers.
    """
    s, world, number = logits, shard.world, logits.size(0)
    if temperature != 1.0:
        s.div_(temperature)
    where = groups.row, groups.entity
    pairs = s[where]
    near_top = s.new_full((number,), -torch.inf).scatter_reduce_(0, groups.row, pairs, "amax")
    s.index_put_(where, s.new_full((), -torch.inf))
    near_top, rest_top = world.max_(torch.stack([near_top, s.amax(dim=-1)]))
    s.index_put_(where, pairs)
    empty, whole = near_top == -torch.inf, rest_top == -torch.inf
    top = torch.maximum(near_top, rest_top)
    near_top, rest_top = (near_top - top).masked_fill(empty, 0.0), (rest_top - top).masked_fill(whole, 0.0)
    s.sub_(top.unsqueeze(-1))
    pairs = pairs - top[groups.row]
    outside = torch.sub(s, rest_top.unsqueeze(-1), out=room).exp_()
    outside.index_put_(where, s.new_zeros(()))
    near = prob[groups.row, :, groups.entity]
    prob[groups.row, :, groups.entity] = 0.0

    def inside(values: Tensor) -> Tensor:
        """Sums over the group."""
        total: Tensor = scatter(values, groups.row, dim_size=number)
        return total

    parts = prob.unbind(dim=1)
    (row, entity), (mine, column) = answers, columns
    sums = [
        outside.sum(dim=-1),
        inside((pairs - near_top[groups.row]).exp()),
        torch.stack([part.sum(dim=-1) for part in parts], dim=-1),
        inside(near),
        inside(near * pairs.unsqueeze(-1)),
        torch.stack([torch.bmm(part.unsqueeze(1), s.unsqueeze(2)).flatten() for part in parts], dim=-1),
        torch.where(mine, s[row, column], s.new_zeros(())),
    ]
    flat = world.sum_(torch.cat([values.flatten() for values in sums]))
    found = [part.view_as(values) for part, values in zip(flat.split([x.numel() for x in sums]), sums, strict=True)]
    sum_rest, sum_near, rest_mass, near_mass, near_dot, rest_dot, known = found
    log_rest = (sum_rest.log() + rest_top).masked_fill(whole, 0.0)
    log_near = (sum_near.log() + near_top).masked_fill(empty, 0.0)
    both = torch.logaddexp(log_near, log_rest)
    log_all = torch.where(whole, log_near, torch.where(empty, log_rest, both))
    outside.div_(sum_rest.masked_fill(whole, 1.0).unsqueeze(-1))
    near_dot -= log_all.unsqueeze(-1) * near_mass
    rest_dot -= log_all.unsqueeze(-1) * rest_mass
    view = ShardedView(s, outside, pairs, near_dot, rest_dot, log_all, log_near, log_rest, whole)
    keys, first = _ascending(row * shard.number + entity)
    view.shard, view.keys, view.known = shard, keys, known[first]
    return view, SoftLabels(prob, near, rest_mass, groups, temperature, near_mass)


def _ascending(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Keys in order, and where each stood; equal ones stay beside one another."""
    ordered = keys.sort()
    return ordered.values, ordered.indices
