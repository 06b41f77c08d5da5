"""What a batch costs: cross-entropy alone, or with reinforced multimodal distillation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss, grouped_cross_entropy
from torch_geometric_dsom.nn import ComplExScorer
from torch_geometric_dsom.sampler import (
    QueryBatch,
    SelectionState,
    TeacherChoice,
    TeacherSampler,
    TeacherSignals,
    UnlabelledSampler,
    margin_reward,
    teacher_signals,
)
from torch_geometric_dsom.trainer.predict import TailScorer


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
        return query, logits, loss

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
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        agent (TeacherSampler): Picks the sets.
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
        available: Tensor,
        agent: TeacherSampler,
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

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch; the agent learns on the way."""
        query, logits, ce = self.score(batch)
        kd, choice, signals = self._distil(query, logits, batch)
        reward = margin_reward(signals.log_prob, signals.student_log_prob, choice.action, self.positive)
        policy = self.agent.update(choice, reward)
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        logs = {"ce": ce.item(), "kd": kd.item(), "gamma": gamma, "reward": reward.mean().item(), **policy}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, _rates(choice), strict=True)}
        logs["select/none"] = 1.0 - choice.weight.mean().item()
        loss = ce + gamma * kd
        if self.unlabelled is not None:
            free = self._unlabelled_kd(max(1, round(self.unlabelled_share * batch.head.numel())))
            logs["kd_unlabelled"] = free.item()
            loss = loss + gamma * free
        return loss, logs

    def _distil(self, query: Tensor, logits: Tensor, batch: QueryBatch) -> tuple[Tensor, TeacherChoice, TeacherSignals]:
        """Distils the sets that the agent picks for the facts of a batch."""
        teacher_logits = self._ask(batch.head, batch.relation)
        head, relation = batch.head[batch.row], batch.relation[batch.row]
        groups = self.groups.rows(head, relation, batch.target)
        signals = teacher_signals(logits.detach(), teacher_logits, batch.row, batch.target, groups)
        state = self.state(query[batch.row], signals, head, relation, batch.target)
        choice = self.agent.sample(state, available=self.available[head])
        soft_label = choice.combine(teacher_logits[:, batch.row], self.loss.temperature)
        return self.loss(logits[batch.row], soft_label, groups, weight=choice.weight), choice, signals

    def _unlabelled_kd(self, number: int) -> Tensor:
        """The same on queries without a gold answer: the teachers' own favourite stands in for it.

        The agent is asked, but neither rewarded nor updated: whether a set helped can only be told by a gold answer.
        """
        assert self.unlabelled is not None
        head, relation = (x.to(self.available.device) for x in self.unlabelled.sample(number))
        table = self.model.entity_table()
        query = self.model.query(head, relation, table)
        favourite = self._ask(head, relation).softmax(dim=-1).mean(dim=0).argmax(dim=-1)
        row = torch.arange(number, device=head.device)
        return self._distil(query, query @ table.T, QueryBatch(head, relation, row, favourite, row))[0]

    @torch.no_grad()
    def _ask(self, head: Tensor, relation: Tensor) -> Tensor:
        """Logits of all teachers, ``[K, Q, N]``."""
        return torch.stack([teacher.score_tails(head, relation) for teacher in self.teachers])


def _rates(choice: TeacherChoice) -> list[float]:
    """Share of the rows in which each teacher was chosen."""
    rates: list[float] = choice.action.float().mean(dim=0).tolist()
    return rates
