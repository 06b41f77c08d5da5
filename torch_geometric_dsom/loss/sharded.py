"""The decoupled loss where each process has the logits of some of the entities: maxima and sums in one message.

With the numbers of a row that this message gives, the loss is the same everywhere and the gradient of each process
is that of its own entities: :func:`~torch_geometric_dsom.loss.mixed_kd_loss` and
:func:`~torch_geometric_dsom.loss.mixed_kd_gradient_` do not know the difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from torch_geometric_dsom.data.groups import GroupRows
from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.loss.cross_entropy import CACHED_BYTES
from torch_geometric_dsom.loss.mixed_kd import SoftLabels, StudentView
from torch_geometric_dsom.nn import piece_rows

FLOOR = -1e30  # a logit in place of those that do not count: finite, for its product with a probability of zero


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
    """A softmax over the entities of all processes, in the memory of the logits; one message.

    Args:
        logits (Tensor): Logits of this process's entities, ``[..., size]``, contiguous; overwritten by probabilities.
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
    flat = logits.view(-1, logits.size(-1))
    own = _softmax(flat, flat)[1].view(logits.shape[:-1])
    norm = shard.world.stack(own).logsumexp(dim=0) if log_norm is None else log_norm
    flat.mul_((own - norm).exp().view(-1, 1))
    return logits, norm


@torch.no_grad()
def sharded_cross_entropy_(
    scores: Tensor, row: Tensor, target: Tensor, shard: Shard, place: tuple[Tensor, Tensor], scale: float = 1.0
) -> Tensor:
    """:func:`~torch_geometric_dsom.loss.grouped_cross_entropy_` over the entities of all processes; one message.

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
    gold = torch.where(mine, scores[row, column], scores.new_zeros(()))
    own = _softmax(scores, scores)[1]
    norms, golds = shard.world.stack(torch.cat([own, gold])).split([own.numel(), gold.numel()], dim=1)
    norm = norms.logsumexp(dim=0)
    value: Tensor = (norm[row] - golds.sum(dim=0)).sum() / facts
    count = scores.new_zeros(scores.size(0)).index_add_(0, row, scores.new_ones(()).expand(row.numel()))
    scores.mul_((count * (scale / facts) * (own - norm).exp()).unsqueeze(-1))
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
    s, number = logits, logits.size(0)
    outside = torch.empty_like(s) if room is None else room
    if temperature != 1.0:
        s.div_(temperature)
    where, (row, entity), (mine, column) = (groups.row, groups.entity), answers, columns
    known = torch.where(mine, s[row, column], s.new_zeros(()))
    pairs, near = s[where], prob[groups.row, :, groups.entity]
    prob[groups.row, :, groups.entity] = prob.new_zeros(())
    s.index_put_(where, s.new_full((), FLOOR))
    # What each process has of a row: tops, log-sum-exps and sums of teachers, outside the group and inside.
    count = torch.bincount(groups.row, minlength=number)
    full, none = count == s.size(1), count == 0
    rest_top, rest_norm, rest_mass, rest_dot = _outside(s, outside, prob)
    near_top = s.new_full((number,), -torch.inf).scatter_reduce_(0, groups.row, pairs, "amax").masked_fill(none, FLOOR)
    above = pairs - near_top[groups.row]
    near_norm = near_top + _inside(above.exp(), groups).log()
    near_mass, near_dot = _inside(near, groups), _inside(near * above.unsqueeze(-1), groups)
    rows = [rest_norm.masked_fill(full, -torch.inf), near_norm.masked_fill(none, -torch.inf), rest_top, near_top]
    each = torch.cat([torch.stack(rows, dim=1), rest_mass, near_mass, rest_dot, near_dot], dim=1)
    told = shard.world.stack(torch.cat([each.flatten(), known]))
    every, known = told[:, : each.numel()].view(-1, *each.shape), told[:, each.numel() :].sum(dim=0)
    # The same for all processes together; logits count from the largest of the row.
    norms, tops = every[..., :2], every[..., 2:4]
    top = tops.amax(dim=(0, 2))
    log_rest, log_near = (norms.logsumexp(dim=0) - top.unsqueeze(-1)).unbind(dim=-1)
    masses, dots = every[..., 4:].view(*every.shape[:2], 2, 2, -1).unbind(dim=2)  # rest and near, of each teacher
    shift = (tops - top.unsqueeze(-1)).unsqueeze(-1)
    rest_dot, near_dot = (dots + torch.where(masses > 0, shift * masses, dots.new_zeros(()))).sum(dim=0).unbind(dim=1)
    rest_mass, near_mass = masses.sum(dim=0).unbind(dim=1)
    whole, empty = log_rest == -torch.inf, log_near == -torch.inf
    outside.mul_((norms[shard.world.rank, :, 0] - top - log_rest).exp().masked_fill(full, 0.0).unsqueeze(-1))
    log_all = torch.logaddexp(log_near, log_rest)
    rest_dot = rest_dot - log_all.unsqueeze(-1) * rest_mass
    near_dot = near_dot - log_all.unsqueeze(-1) * near_mass
    log_rest, log_near = log_rest.masked_fill(whole, 0.0), log_near.masked_fill(empty, 0.0)
    pairs = pairs - top[groups.row]
    view = ShardedView(s, outside, pairs, near_dot, rest_dot, log_all, log_near, log_rest, whole)
    view.shard = shard
    view.keys, first = (row * shard.number + entity).sort()
    view.known = (known - top[row])[first]
    return view, SoftLabels(prob, near, rest_mass, groups, temperature, near_mass)


def _pieces(values: Tensor, slabs: int) -> Iterator[slice]:
    """Rows that fit the processor's cache."""
    size = piece_rows(values, slabs, max(values.size(1), 1), CACHED_BYTES, values.nbytes)
    return (slice(start, start + size) for start in range(0, values.size(0), size))


def _softmax(values: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """A softmax over this process's entities; the maximum and the log-sum-exp of each row."""
    tops, norms = values.new_empty(2, values.size(0))
    for some in _pieces(values, 1):
        torch.amax(values[some], dim=-1, out=tops[some])
        part = torch.softmax(values[some], dim=-1, out=out[some])
        norms[some] = tops[some] - part.amax(dim=-1).log_()  # of the softmax, only the place of the maximum is 1 / sum
    return tops, norms


def _outside(s: Tensor, outside: Tensor, prob: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Softmax of a row; its maximum, its log-sum-exp, each teacher's mass and product with the logits below the top."""
    tops, norms = s.new_empty(2, s.size(0))
    mass, dot = s.new_empty(2, *prob.shape[:2])
    for some in _pieces(s, 1):  # by the student's logits: calls for a row or two would cost more than the cache saves
        part, room = s[some], outside[some]
        torch.amax(part, dim=-1, out=tops[some])
        for k, teacher in enumerate(prob[some].unbind(dim=1)):
            torch.sum(teacher, dim=-1, out=mass[some, k])
            torch.sum(torch.mul(teacher, part, out=room), dim=-1, out=dot[some, k])
        dot[some] -= tops[some].unsqueeze(-1) * mass[some]
        torch.softmax(part, dim=-1, out=room)
        norms[some] = tops[some] - room.amax(dim=-1).log_()
    return tops, norms, mass, dot


def _inside(values: Tensor, groups: GroupRows) -> Tensor:
    """Sums over the groups."""
    total: Tensor = scatter(values, groups.row, dim_size=groups.num_rows)
    return total
