"""What a batch costs: cross-entropy alone, or with reinforced multimodal distillation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows, KnownAnswers, NeighborIndex
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
    StudentView,
    grouped_cross_entropy,
    mixed_kd_loss,
    soft_labels,
    view_student,
)
from torch_geometric_dsom.nn import Scorer
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
    rank_reward,
    teacher_signals,
)


class CrossEntropyObjective:
    r"""1-vs-all cross-entropy with N3: :math:`\mathrm{CE} + \lambda \, \mathrm{N3}`.

    Args:
        model (Scorer): What is trained.
        n3 (float): Weight :math:`\lambda` of the penalty. (default: :obj:`0.0`)
    """

    def __init__(self, model: Scorer, n3: float = 0.0) -> None:
        self.model = model
        self.n3 = n3

    def score(self, batch: QueryBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Query vectors ``[Q, 2d]`` and logits ``[Q, N]`` of the batch's queries, and the loss on its facts."""
        table = self.model.entity_table()
        query = self.model.query(batch.head, batch.relation, table)
        logits = self.model.score(query, table)
        loss = grouped_cross_entropy(logits, batch.row, batch.target)
        if self.n3 > 0:
            head, relation = batch.head[batch.row], batch.relation[batch.row]
            loss = loss + self.n3 * self.model.penalty(head, relation, batch.target, table)
        return query, logits, batch.weight * loss

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch."""
        return self.score(batch)[2], {}


class FactSignals(NamedTuple):
    """What frozen teachers think of a set of facts, computed once.

    Args:
        teachers (TeacherSignals): What the agent sees: signals about the teachers' favourite, ``[F, K]`` each.
        favourite (Tensor): The answer that the available teachers together find most likely, ``[F]``, int64.
        gold (Tensor): Log-probability of the gold answer, ``[F, K]``; what rewards are made of.
    """

    teachers: TeacherSignals
    favourite: Tensor
    gold: Tensor

    def rows(self, index: Tensor) -> FactSignals:
        """The signals of some facts, given by number."""
        return FactSignals(self.teachers.rows(index), self.favourite[index], self.gold[index])


class DistillationObjective(CrossEntropyObjective):
    r"""The student's loss: :math:`\mathrm{CE} + \gamma \, \mathrm{KD} + \lambda \, \mathrm{N3}`.

    For every training fact, and for queries without one, the agent picks a set of teachers, and the decoupled loss
    distils the mean of their distributions. :math:`\gamma` grows linearly over the first epochs.

    The agent is rewarded on held-out facts where there are any: teachers know their training facts almost by heart, so
    a reward there praises who memorises best. The state shows no gold answer but the teachers' favourite; it means the
    same on training facts, on held-out facts and on queries without an answer.

    Args:
        model (Scorer): The student.
        teachers (list): Frozen scorers.
        facts (FactSignals): Of all training facts, from :func:`fact_signals`.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        agent (TeacherSampler or StaticSampler): Picks the sets.
        state (SelectionState): What the agent sees.
        groups (NeighborIndex): Neighbours of the queries.
        loss (NeighborDecoupledKDLoss): The distillation loss.
        gamma (float): Weight of the distillation. (default: :obj:`1.0`)
        warmup (int): Epochs over which the weight grows to :obj:`gamma`. (default: :obj:`5`)
        positive (bool): Whether only sets that help are rewarded. (default: :obj:`True`)
        known (KnownAnswers, optional): Facts to leave out of ranks: held-out facts are then rewarded by
            :func:`~torch_geometric_dsom.sampler.rank_reward`, else by
            :func:`~torch_geometric_dsom.sampler.margin_reward`, as training facts always are.
        held_out (tuple, optional): A :class:`QuerySampler` of facts that no teacher was trained on, one fact a row, and
            their :class:`FactSignals`, to reward the agent with; training facts if :obj:`None`.
        unlabelled (UnlabelledSampler, optional): Gives queries without a training fact to distil on as well.
        unlabelled_share (float): How many of those for each query of a batch. (default: :obj:`1.0`)
        unlabelled_agent (TeacherSampler or StaticSampler, optional): Picks the sets of those; :obj:`agent` if
            :obj:`None`.
        n3 (float): Weight of the N3 penalty. (default: :obj:`0.0`)
    """

    def __init__(
        self,
        model: Scorer,
        teachers: Sequence[TailScorer],
        facts: FactSignals,
        available: Tensor,
        agent: TeacherSampler | StaticSampler,
        state: SelectionState,
        groups: NeighborIndex,
        loss: NeighborDecoupledKDLoss,
        gamma: float = 1.0,
        warmup: int = 5,
        positive: bool = True,
        known: KnownAnswers | None = None,
        held_out: tuple[QuerySampler, FactSignals] | None = None,
        unlabelled: UnlabelledSampler | None = None,
        unlabelled_share: float = 1.0,
        unlabelled_agent: TeacherSampler | StaticSampler | None = None,
        n3: float = 0.0,
    ) -> None:
        super().__init__(model, n3)
        self.teachers = teachers
        self.facts = facts
        self.available = available
        self.agent = agent
        self.state = state
        self.groups = groups
        self.loss = loss
        self.gamma = gamma
        self.warmup = warmup
        self.positive = positive
        self.known = known
        self.held_out = None if held_out is None else (forever(held_out[0]), held_out[1])
        self.unlabelled = unlabelled
        self.unlabelled_share = unlabelled_share
        self.unlabelled_agent = unlabelled_agent if unlabelled_agent is not None else agent
        self._memory: dict[str, Tensor] = {}

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch; the agent learns on the way."""
        logs = {} if self.held_out is None else self._learn_from_held_out(*self.held_out)
        if not self.groups.per_query:
            batch = batch.ungrouped()
        query, logits, ce = self.score(batch)
        groups = self.groups.rows(batch.head, batch.relation, None if self.groups.per_query else batch.target)
        facts = self.facts.rows(batch.fact)
        kd, choice, view = self._distil(query, logits, self._ask(batch, "facts"), batch, facts, groups)
        if self.held_out is None:
            logs = self._reward(choice, view, batch, facts)
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        rates = choice.action.float().mean(dim=0).tolist()
        logs |= {"ce": ce.item(), "kd": kd.item(), "gamma": gamma}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - choice.weight.mean().item()
        loss = ce + gamma * batch.weight * kd
        if self.unlabelled is not None:
            free = self._unlabelled_kd(*self.unlabelled.sample(max(1, round(self.unlabelled_share * len(batch.head)))))
            logs["kd_unlabelled"] = free.item()
            loss = loss + gamma * free
        return loss, logs

    def _unlabelled_kd(self, head: Tensor, relation: Tensor) -> Tensor:
        """The distillation loss of queries of which no answer is known; the agent is asked, but not rewarded."""
        head, relation = head.to(self.available.device), relation.to(self.available.device)
        row = torch.arange(head.numel(), device=head.device)
        batch = QueryBatch(head, relation, row, row, row)
        teacher_logits = self._ask(batch, "unlabelled")
        favourite = favourites(teacher_logits, self.available[head])
        groups = self.groups.rows(head, relation, favourite)
        signals = teacher_signals(teacher_logits, row, favourite, groups, self.loss.temperature)
        table = self.model.entity_table()
        query = self.model.query(head, relation, table)
        facts = FactSignals(signals, favourite, signals.log_prob)
        return self._distil(
            query, self.model.score(query, table), teacher_logits, batch, facts, groups, self.unlabelled_agent
        )[0]

    @torch.no_grad()
    def _learn_from_held_out(self, batches: Iterator[QueryBatch], signals: FactSignals) -> dict[str, float]:
        """One update of the agent on facts that neither teachers nor student are trained on."""
        batch = next(batches).to(self.available.device)
        facts = signals.rows(batch.fact)
        table = self.model.entity_table()
        query = self.model.query(batch.head, batch.relation, table)
        groups = self.groups.rows(batch.head, batch.relation, facts.favourite)
        logits, teacher_logits = self.model.score(query, table), self._ask(batch, "held out")
        if self.known is None:
            _, choice, view = self._distil(query, logits, teacher_logits, batch, facts, groups)
            return self._reward(choice, view, batch, facts)
        teacher_prob, student_prob = teacher_logits.softmax(dim=-1), logits.softmax(dim=-1)
        row, answer = self.known.rows(batch.head, batch.relation)
        other = answer != batch.target[row]
        teacher_prob[row[other], :, answer[other]] = 0.0
        student_prob[row[other], answer[other]] = 0.0
        _, choice, _ = self._distil(query, logits, teacher_logits, batch, facts, groups)
        reward = rank_reward(teacher_prob, student_prob, batch.target, choice.action, self.positive)
        return {"reward": reward.mean().item(), **self.agent.update(choice, reward)}

    def _distil(
        self,
        query: Tensor,
        logits: Tensor,
        teacher_logits: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        agent: TeacherSampler | StaticSampler | None = None,
    ) -> tuple[Tensor, TeacherChoice, StudentView]:
        """Lets the agent pick sets for the facts of a batch; the loss of distilling them."""
        labels = soft_labels(teacher_logits, groups, self.loss.temperature)
        view = view_student(logits, labels)
        row = batch.row
        head, relation = batch.head[row], batch.relation[row]
        with torch.no_grad():
            log_prob = view.logits[row, facts.favourite] - view.log_all[row]
            divergence = (view.log_all.unsqueeze(-1) - view.near - view.rest)[row] - facts.teachers.entropy
            student = StudentSignals(log_prob, divergence)
        state = self.state(query[row], facts.teachers, student, head, relation, facts.favourite)
        choice = (agent or self.agent).sample(state, available=self.available[head])
        return mixed_kd_loss(view, labels, row, choice.action, self.loss.alpha, self.loss.beta), choice, view

    def _reward(
        self, choice: TeacherChoice, view: StudentView, batch: QueryBatch, facts: FactSignals
    ) -> dict[str, float]:
        """Rewards the agent for the sets it picked, by their margin on the gold answers."""
        own = (view.logits[batch.row, batch.target] - view.log_all[batch.row]).detach()
        reward = margin_reward(facts.gold, own, choice.action, self.positive)
        return {"reward": reward.mean().item(), **self.agent.update(choice, reward)}

    def _ask(self, batch: QueryBatch, use: str) -> Tensor:
        """Logits of all teachers, in memory that is used again for the next batch; each use has its own."""
        shape = (batch.head.numel(), len(self.teachers), self.model.num_entities)
        memory = self._memory.get(use)
        if memory is None or memory.numel() < math.prod(shape):
            memory = torch.empty(math.prod(shape), device=self.available.device)
            self._memory[use] = memory
        return ask(self.teachers, batch, out=memory[: math.prod(shape)].view(shape))


def forever(sampler: QuerySampler) -> Iterator[QueryBatch]:
    """Epoch after epoch of a sampler."""
    while True:
        yield from sampler


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
    available: Tensor,
    temperature: float = 1.0,
) -> FactSignals:
    """Signals of all facts of a sampler, in the order of their numbers: one pass before training.

    Args:
        teachers (list): Frozen scorers.
        sampler (QuerySampler): Gives the facts.
        groups (NeighborIndex): Neighbours of the queries.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        temperature (float): Temperature of the distributions. (default: :obj:`1.0`)
    """
    parts, order = [], []
    for batch in sampler:
        batch = batch.to(available.device).ungrouped()
        order.append(batch.fact)
        shape = (batch.head.numel(), len(teachers), groups.num_nodes)
        logits = ask(teachers, batch, torch.empty(shape, device=available.device))
        favourite = favourites(logits, available[batch.head])
        rows = groups.rows(batch.head, batch.relation, favourite)
        gold = (logits / temperature).log_softmax(dim=-1)[batch.row, :, batch.target]
        parts.append((favourite, gold, *teacher_signals(logits, batch.row, favourite, rows, temperature)))
    place = torch.cat(order).argsort()
    favourite, gold, *columns = (torch.cat(values)[place] for values in zip(*parts, strict=True))
    return FactSignals(TeacherSignals(*columns), favourite, gold)
