"""What a set of teachers is worth to the student, as pure functions.

Each takes the sets of a batch, ``[B, K]``, or several sets a row, ``[B, S, K]``: with all of them,
``all_subsets(K).expand(B, -1, -1)``, the rewards of all subsets come at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.data.count_above import count_above
from torch_geometric_dsom.sampler.query_sampler import QueryBatch


def set_log_prob(teacher_log_prob: Tensor, action: Tensor) -> Tensor:
    r"""Log-probability that the chosen teachers, averaged, give the target: :math:`\log p_a(t)`.

    .. math::
        \log p_a(t) = \log \frac{1}{|a|} \sum_{k \in a} p_k(t)

    Args:
        teacher_log_prob (Tensor): :math:`\log p_k(t)`, ``[B, K]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.

    Returns:
        Tensor: ``[B]`` or ``[B, S]``, minus infinity for the empty set.

    Example:
        >>> import torch
        >>> log_prob = torch.tensor([[0.5, 0.25]]).log()
        >>> set_log_prob(log_prob, torch.tensor([[True, True]])).exp()
        tensor([0.3750])
    """
    masked = _like(teacher_log_prob, action).masked_fill(~action, -torch.inf)
    size = action.sum(dim=-1).clamp_min(1).to(teacher_log_prob.dtype)
    return masked.logsumexp(dim=-1) - size.log()


def margin_reward(teacher_log_prob: Tensor, student_log_prob: Tensor, action: Tensor, positive: bool = True) -> Tensor:
    r"""How much more the chosen set believes in the target than the student does.

    .. math::
        r(a) = \big[ \log p_a(t) - \log p_S(t) \big]_+ \quad \text{and} \quad r(\emptyset) = 0

    Args:
        teacher_log_prob (Tensor): :math:`\log p_k(t)` of each teacher, ``[B, K]``.
        student_log_prob (Tensor): :math:`\log p_S(t)`, ``[B]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[0.5, 0.1]]).log()
        >>> margin_reward(teachers, torch.tensor([0.25]).log(), torch.tensor([[True, False]]))  # log 2
        tensor([0.6931])
        >>> margin_reward(teachers, torch.tensor([0.25]).log(), torch.tensor([[False, True]]))
        tensor([0.])
    """
    margin = set_log_prob(teacher_log_prob, action) - _like(student_log_prob, action, scalar=True)
    return finish(margin, action, positive)


def rank_reward(
    teacher_prob: Tensor, student_prob: Tensor, target: Tensor, action: Tensor, positive: bool = True
) -> Tensor:
    r"""How much higher the chosen set ranks the target than the student does.

    .. math::
        r(a) = \Big[ \frac{1}{\mathrm{rank}_a(t)} - \frac{1}{\mathrm{rank}_S(t)} \Big]_+
        \quad \text{and} \quad r(\emptyset) = 0

    Unlike a margin of log-probabilities it does not punish confidence, and a mixture of teachers that err differently
    is worth more than any of them.

    Args:
        teacher_prob (Tensor): Probabilities of each teacher, zero where an answer is known already, ``[B, K, N]``.
        student_prob (Tensor): Probabilities of the student, likewise, ``[B, N]``.
        target (Tensor): Gold answers, ``[B]``, int64.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[[0.1, 0.9, 0.0], [0.6, 0.3, 0.1]]])
        >>> student = torch.tensor([[0.5, 0.3, 0.2]])  # ranks entity 1 second
        >>> rank_reward(teachers, student, torch.tensor([1]), torch.tensor([[True, True]]))  # first by the mean
        tensor([0.5000])
    """
    sets = action.unsqueeze(1) if action.dim() == 2 else action
    weights = sets.to(teacher_prob.dtype)
    own = inverse_rank(student_prob, target)
    # One set a row at a time: all of them together would be [B, 2^K, N].
    gains = [
        inverse_rank(torch.bmm(weights[:, s : s + 1], teacher_prob).squeeze(1), target) - own
        for s in range(sets.size(1))
    ]
    gain = torch.stack(gains, dim=-1) if action.dim() == 3 else gains[0]
    return finish(gain, action, positive)


def filtered_probabilities(
    teacher_logits: Tensor, logits: Tensor, batch: QueryBatch, known: KnownAnswers
) -> tuple[Tensor, Tensor]:
    """Probabilities of teachers ``[M, K, N]`` and student ``[M, N]``, zero at other known answers.

    Args:
        teacher_logits (Tensor): ``[M, K, N]``.
        logits (Tensor): Of the student, ``[M, N]``.
        batch (QueryBatch): Facts, one a row.
        known (KnownAnswers): What is known.
    """
    teacher_prob, student_prob = teacher_logits.softmax(dim=-1), logits.softmax(dim=-1)
    row, answer = known.rows(batch.head, batch.relation)
    other = answer != batch.target[row]
    row, answer = (x[other].to(logits.device, non_blocking=True) for x in (row, answer))
    teacher_prob[row, :, answer] = student_prob[row, answer] = logits.new_zeros(())
    return teacher_prob, student_prob


def first_order_reward(student: Tensor, teachers: Tensor, action: Tensor, positive: bool = True) -> Tensor:
    r"""Gain of a small step towards the chosen set, from the expectations of a direction.

    .. math::
        r(a) = \Big[ \langle v, p_S \rangle - \frac{1}{|a|} \sum_{k \in a} \langle v, p_k \rangle \Big]_+
        \quad \text{and} \quad r(\emptyset) = 0

    What :func:`lookahead_reward` and :func:`influence_reward` come to once the sums over entities are taken.

    Args:
        student (Tensor): :math:`\langle v, p_S \rangle`, ``[B]``.
        teachers (Tensor): :math:`\langle v, p_k \rangle`, ``[B, K]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> first_order_reward(torch.tensor([1.0]), torch.tensor([[0.5, 0.0]]), torch.tensor([[True, True]]))
        tensor([0.7500])
    """
    size = action.sum(dim=-1).clamp_min(1).to(teachers.dtype)
    mean = _like(teachers, action).masked_fill(~action, 0.0).sum(dim=-1) / size
    return finish(_like(student, action, scalar=True) - mean, action, positive)


def lookahead_reward(
    direction: Tensor, student_prob: Tensor, teacher_prob: Tensor, action: Tensor, positive: bool = True
) -> Tensor:
    r"""What one small step towards the chosen set gains elsewhere, to first order.

    A step of distillation moves the parameters by :math:`- \epsilon J^\top (p_S - p_a)`, with :math:`J` the Jacobian
    of the student's logits on this query. A loss :math:`\mathcal H` with gradient :math:`g`, of held-out facts, falls
    by :math:`\epsilon` times

    .. math::
        r(a) = \big[ \langle v, p_S - p_a \rangle \big]_+ \quad \text{with} \quad v = J g
        \quad \text{and} \quad r(\emptyset) = 0

    Args:
        direction (Tensor): :math:`v`, how the student's logits change along the gradient of that loss, ``[B, N]``; see
            :func:`~torch_geometric_dsom.nn.score_tangent`.
        student_prob (Tensor): Probabilities of the student, ``[B, N]``.
        teacher_prob (Tensor): Probabilities of each teacher, ``[B, K, N]``.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
        >>> up = torch.tensor([[-1.0, 1.0]])  # held-out facts want entity 0 to score higher
        >>> lookahead_reward(up, torch.tensor([[0.5, 0.5]]), teachers, torch.tensor([[True, False]]))
        tensor([0.8000])
    """
    own = (direction * student_prob).sum(dim=-1)
    theirs = torch.bmm(teacher_prob, direction.unsqueeze(-1)).squeeze(-1)
    return first_order_reward(own, theirs, action, positive)


def influence_reward(
    teacher_prob: Tensor, student_prob: Tensor, target: Tensor, action: Tensor, positive: bool = True
) -> Tensor:
    r"""What one small step towards the chosen set gains in the student's cross-entropy on the same query.

    .. math::
        r(a) = \big[ \langle p_S - y, p_S - p_a \rangle \big]_+ \quad \text{and} \quad r(\emptyset) = 0

    with :math:`y` the one-hot target: :func:`lookahead_reward` with the gradient of the cross-entropy in the logits.

    Args:
        teacher_prob (Tensor): Probabilities of each teacher, ``[B, K, N]``.
        student_prob (Tensor): Probabilities of the student, ``[B, N]``.
        target (Tensor): Gold answers, ``[B]``, int64.
        action (Tensor): Which teachers are chosen, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty. (default: :obj:`True`)

    Returns:
        Tensor: ``[B]`` or ``[B, S]``.

    Example:
        >>> import torch
        >>> teachers = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> student = torch.tensor([[0.5, 0.5]])
        >>> influence_reward(teachers, student, torch.tensor([0]), torch.tensor([[True, False]]))
        tensor([0.5000])
    """
    one_hot = torch.zeros_like(student_prob).scatter_(1, target.unsqueeze(-1), 1.0)
    return lookahead_reward(student_prob - one_hot, student_prob, teacher_prob, action, positive)


def inverse_rank(values: Tensor, target: Tensor) -> Tensor:
    """One over the rank of the target in each row, ties realistic.

    Args:
        values (Tensor): ``[B, N]``.
        target (Tensor): ``[B]``, int64.

    Returns:
        Tensor: ``[B]``.

    Example:
        >>> import torch
        >>> inverse_rank(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([1]))
        tensor([0.5000])
    """
    row = torch.arange(len(values), device=values.device)
    above, not_below = count_above(values, row, values[row, target])
    return (2.0 / (above + not_below + 1)).to(values.dtype)


def _like(values: Tensor, action: Tensor, scalar: bool = False) -> Tensor:
    """Room for the sets of a row where there are several."""
    if action.dim() == 2:
        return values
    return values.unsqueeze(-1) if scalar else values.unsqueeze(-2)


def finish(gain: Tensor, action: Tensor, positive: bool) -> Tensor:
    """What a gain is worth: nothing below zero where only gains count, and nothing for the empty set.

    Args:
        gain (Tensor): ``[B]`` or ``[B, S]``.
        action (Tensor): The sets, ``[B, K]`` or ``[B, S, K]`` bool.
        positive (bool): Whether a set that does not help gets nothing instead of a penalty.

    Example:
        >>> import torch
        >>> finish(torch.tensor([0.5, -0.5, 0.5]), torch.tensor([[True], [True], [False]]), positive=True)
        tensor([0.5000, 0.0000, 0.0000])
    """
    gain = gain.clamp_min(0.0) if positive else gain
    return gain.masked_fill(~action.any(dim=-1), 0.0)
