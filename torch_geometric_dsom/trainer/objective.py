"""What a batch costs: cross-entropy alone, or with reinforced multimodal distillation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
    grouped_cross_entropy,
    mixed_kd_loss,
    soft_labels,
    view_student,
)
from torch_geometric_dsom.nn import ComplExScorer
from torch_geometric_dsom.sampler import (
    QueryBatch,
    QuerySampler,
    SelectionState,
    StaticSampler,
    StudentSignals,
    TeacherChoice,
    TeacherSampler,
    TeacherSignals,
    UnlabelledSampler,
    margin_reward,
    teacher_signals,
)


class CrossEntropyObjective:
    r"""1-vs-all cross-entropy with N3: :math:`\mathrm{CE} + \lambda \, \mathrm{N3}`.

    Args:
        model (ComplExScorer): What is trained.
        n3 (float): Weight :math:`\lambda` of the penalty. (default: :obj:`0.0`)
    """

    def __init__(self, model: ComplExScorer, n3: float = 0.0) -> None:
        self.model = model
        self.n3 = n3

    def score(self, batch: QueryBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Query vectors ``[Q, 2d]`` and logits ``[Q, N]`` of the batch's queries, and the loss on its facts."""
        table = self.model.entity_table()
        query = self.model.query(batch.head, batch.relation, table)
        logits = query @ table.T
        loss = grouped_cross_entropy(logits, batch.row, batch.target)
        if self.n3 > 0:
            head, relation = batch.head[batch.row], batch.relation[batch.row]
            loss = loss + self.n3 * self.model.penalty(head, relation, batch.target, table)
        return query, logits, batch.weight * loss

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch."""
        return self.score(batch)[2], {}


class DistillationObjective(CrossEntropyObjective):
    r"""The student's loss: :math:`\mathrm{CE} + \gamma \, \mathrm{KD} + \lambda \, \mathrm{N3}`.

    For every fact of a batch the agent picks a set of teachers, the decoupled loss distils the mean of their
    distributions, and the agent is updated with its reward. :math:`\gamma` grows linearly over the first epochs.

    Args:
        model (ComplExScorer): The student.
        teachers (list): Frozen scorers.
        signals (TeacherSignals): Signals of the teachers on all training facts, from :func:`fact_signals`.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        agent (TeacherSampler or StaticSampler): Picks the sets.
        state (SelectionState): What the agent sees.
        groups (NeighborIndex): Neighbours of the queries.
        loss (NeighborDecoupledKDLoss): The distillation loss.
        gamma (float): Weight of the distillation. (default: :obj:`1.0`)
        warmup (int): Epochs over which the weight grows to :obj:`gamma`. (default: :obj:`5`)
        positive (bool): Whether only sets that help are rewarded. (default: :obj:`True`)
        unlabelled (UnlabelledSampler, optional): Gives queries without a training fact to distil on as well.
        unlabelled_share (float): How many of those for each query of a batch. (default: :obj:`1.0`)
        n3 (float): Weight of the N3 penalty. (default: :obj:`0.0`)
    """

    def __init__(
        self,
        model: ComplExScorer,
        teachers: Sequence[TailScorer],
        signals: TeacherSignals,
        available: Tensor,
        agent: TeacherSampler | StaticSampler,
        state: SelectionState,
        groups: NeighborIndex,
        loss: NeighborDecoupledKDLoss,
        gamma: float = 1.0,
        warmup: int = 5,
        positive: bool = True,
        unlabelled: UnlabelledSampler | None = None,
        unlabelled_share: float = 1.0,
        n3: float = 0.0,
    ) -> None:
        super().__init__(model, n3)
        self.teachers = teachers
        self.signals = signals
        self.available = available
        self.agent = agent
        self.state = state
        self.groups = groups
        self.loss = loss
        self.gamma = gamma
        self.warmup = warmup
        self.positive = positive
        self.unlabelled = unlabelled
        self.unlabelled_share = unlabelled_share
        self._memory: dict[str, Tensor] = {}

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch; the agent learns on the way."""
        if not self.groups.per_query:
            batch = batch.ungrouped()
        query, logits, ce = self.score(batch)
        groups = self.groups.rows(batch.head, batch.relation, None if self.groups.per_query else batch.target)
        teacher_logits = self._ask(batch, "facts")
        signals = self.signals.rows(batch.fact)
        kd, choice, student = self._distil(query, logits, teacher_logits, batch, signals, groups)
        reward = margin_reward(signals.log_prob, student.log_prob, choice.action, self.positive)
        policy = self.agent.update(choice, reward)
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        logs = {"ce": ce.item(), "kd": kd.item(), "gamma": gamma, "reward": reward.mean().item(), **policy}
        rates = choice.action.float().mean(dim=0).tolist()
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - choice.weight.mean().item()
        loss = ce + gamma * batch.weight * kd
        if self.unlabelled is not None:
            free = self._unlabelled_kd(max(1, round(self.unlabelled_share * batch.head.numel())))
            logs["kd_unlabelled"] = free.item()
            loss = loss + gamma * free
        return loss, logs

    def _unlabelled_kd(self, number: int) -> Tensor:
        """The same on queries without a gold answer: the teachers' own favourite stands in for it.

        The agent is asked, but neither rewarded nor updated: whether a set helped can only be told by a gold answer.
        """
        assert self.unlabelled is not None
        head, relation = (x.to(self.available.device) for x in self.unlabelled.sample(number))
        row = torch.arange(number, device=head.device)
        batch = QueryBatch(head, relation, row, row, row)
        teacher_logits = self._ask(batch, "unlabelled")
        batch = batch._replace(target=favourites(teacher_logits, self.available[head]))
        groups = self.groups.rows(head, relation, batch.target)
        signals = teacher_signals(teacher_logits, row, batch.target, groups, self.loss.temperature)
        table = self.model.entity_table()
        query = self.model.query(head, relation, table)
        return self._distil(query, query @ table.T, teacher_logits, batch, signals, groups)[0]

    def _ask(self, batch: QueryBatch, use: str) -> Tensor:
        """Logits of all teachers, in memory that is used again for the next batch; each use has its own."""
        shape = (batch.head.numel(), len(self.teachers), self.model.num_entities)
        memory = self._memory.get(use)
        if memory is None or memory.numel() < math.prod(shape):
            memory = torch.empty(math.prod(shape), device=self.available.device)
            self._memory[use] = memory
        return ask(self.teachers, batch, out=memory[: math.prod(shape)].view(shape))

    def _distil(
        self,
        query: Tensor,
        logits: Tensor,
        teacher_logits: Tensor,
        batch: QueryBatch,
        signals: TeacherSignals,
        groups: GroupRows,
    ) -> tuple[Tensor, TeacherChoice, StudentSignals]:
        """Distils the sets that the agent picks for the facts of a batch."""
        labels = soft_labels(teacher_logits, groups, self.loss.temperature)
        view = view_student(logits, labels)
        row = batch.row
        with torch.no_grad():
            log_prob = view.logits[row, batch.target] - view.log_all[row]
            divergence = (view.log_all.unsqueeze(-1) - view.near - view.rest)[row] - signals.entropy
            student = StudentSignals(log_prob, divergence)
        head, relation = batch.head[row], batch.relation[row]
        state = self.state(query[row], signals, student, head, relation, batch.target)
        choice = self.agent.sample(state, available=self.available[head])
        return mixed_kd_loss(view, labels, row, choice.action, self.loss.alpha, self.loss.beta), choice, student


@torch.no_grad()
def ask(teachers: Sequence[TailScorer], batch: QueryBatch, out: Tensor) -> Tensor:
    """Writes the logits of all teachers on the queries of a batch to ``out``, ``[Q, K, N]``, and returns it."""
    for k, teacher in enumerate(teachers):
        out[:, k] = teacher.score_tails(batch.head, batch.relation)
    return out


def favourites(teacher_logits: Tensor, available: Tensor) -> Tensor:
    """The answer that the available teachers together find most likely, ``[Q]``.

    Args:
        teacher_logits (Tensor): ``[Q, K, N]``.
        available (Tensor): Which teachers may be asked, ``[Q, K]`` bool.
    """
    total = torch.zeros_like(teacher_logits[:, 0])
    for logits, mask in zip(teacher_logits.unbind(dim=1), available.unbind(dim=-1), strict=True):
        total += logits.softmax(dim=-1).mul_(mask.unsqueeze(-1))
    return total.argmax(dim=-1)


def fact_signals(
    teachers: Sequence[TailScorer],
    sampler: QuerySampler,
    groups: NeighborIndex,
    temperature: float,
    device: torch.device,
) -> TeacherSignals:
    """Signals of all facts of a sampler, in the order of their numbers: one pass before training."""
    parts, order = [], []
    for batch in sampler:
        batch = batch.to(device)
        order.append(batch.fact)
        if not groups.per_query:
            batch = batch.ungrouped()
        rows = groups.rows(batch.head, batch.relation, None if groups.per_query else batch.target)
        logits = torch.empty(batch.head.numel(), len(teachers), groups.num_nodes, device=device)
        parts.append(teacher_signals(ask(teachers, batch, logits), batch.row, batch.target, rows, temperature))
    place = torch.cat(order).argsort()
    return TeacherSignals(*(torch.cat(values)[place] for values in zip(*parts, strict=True)))
