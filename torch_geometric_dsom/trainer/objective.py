"""What a batch costs: cross-entropy alone, or with reinforced multimodal distillation."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
    SoftLabels,
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
    RuleSampler,
    SelectionState,
    StudentSignals,
    TeacherChoice,
    TeacherSampler,
    UnlabelledSampler,
    teacher_signals,
)
from torch_geometric_dsom.trainer.ensemble import Ensemble, FactSignals, row_folds


class Scored(NamedTuple):
    """What a model says of a batch of queries.

    Args:
        logits (Tensor): ``[Q, N]``.
        query (Tensor): Query vectors, ``[Q, D]``; no columns where the model has no such thing.
        table (Tensor, optional): The entity vectors, where the model has them.
    """

    logits: Tensor
    query: Tensor
    table: Tensor | None


class CrossEntropyObjective:
    r"""1-vs-all cross-entropy with N3: :math:`\mathrm{CE} + \lambda \, \mathrm{N3}`.

    Args:
        model (Scorer or TailScorer): What is trained.
        n3 (float): Weight :math:`\lambda` of the penalty. (default: :obj:`0.0`)

    Raises:
        ConfigError: If a penalty is asked of a model that has none.
    """

    def __init__(self, model: TailScorer, n3: float = 0.0) -> None:
        if n3 > 0 and not isinstance(model, Scorer):
            raise ConfigError(f"n3: expected 0 for a {type(model).__name__}, which has no such penalty, got {n3}")
        self.model = model
        self.n3 = n3

    def score(self, head: Tensor, relation: Tensor) -> Scored:
        """What the model says of queries."""
        if isinstance(self.model, Scorer):
            table = self.model.entity_table()
            query = self.model.query(head, relation, table)
            return Scored(self.model.score(query, table), query, table)
        logits = self.model.score_tails(head, relation)
        return Scored(logits, logits.new_empty(head.numel(), 0), None)

    def cross_entropy(self, scored: Scored, batch: QueryBatch) -> Tensor:
        """The loss on the facts of a batch, given what the model says of its queries."""
        loss = grouped_cross_entropy(scored.logits, batch.row, batch.target)
        if self.n3 > 0 and isinstance(self.model, Scorer):
            head, relation = batch.head[batch.row], batch.relation[batch.row]
            loss = loss + self.n3 * self.model.penalty(head, relation, batch.target, scored.table)
        return batch.weight * loss

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch."""
        return self.cross_entropy(self.score(batch.head, batch.relation), batch), {}


class Distilled(NamedTuple):
    """What became of a batch of facts.

    Args:
        loss (Tensor): The distillation loss, a scalar.
        choice (TeacherChoice): The sets picked, a row a fact.
        view (StudentView): Sums over the student's logits, a row a query.
        labels (SoftLabels): Soft labels, a row a query.
    """

    loss: Tensor
    choice: TeacherChoice
    view: StudentView
    labels: SoftLabels


class Lesson(Protocol):
    """How the agent learns."""

    def before(self, objective: DistillationObjective) -> dict[str, float]:
        """Before a batch is distilled; returns what to log."""

    def after(
        self, objective: DistillationObjective, batch: QueryBatch, facts: FactSignals, done: Distilled
    ) -> dict[str, float]:
        """After it was; returns what to log."""


class DistillationObjective(CrossEntropyObjective):
    r"""The student's loss: :math:`\mathrm{CE} + \gamma \, \mathrm{KD} + \lambda \, \mathrm{N3}`.

    For every training fact, and for queries without one, the agent picks a set of teachers, and the decoupled loss
    distils the mean of their distributions. :math:`\gamma` grows linearly over the first epochs.

    The state shows no gold answer but the teachers' favourite; it means the same on training facts, on held-out facts
    and on queries without an answer.

    Args:
        model (Scorer or TailScorer): The student.
        ensemble (Ensemble): The teachers.
        sampler (QuerySampler): Gives the training facts; its folds say which teachers did not see them.
        facts (FactSignals, optional): Of all training facts; only training needs them.
        agent (TeacherSampler or RuleSampler): Picks the sets.
        state (SelectionState): What the agent sees.
        index (NeighborIndex): Neighbours of the queries.
        loss (nn.Module): The distillation loss; :class:`~torch_geometric_dsom.loss.NeighborDecoupledKDLoss` on plain
            logits is computed without a row for each fact, any other called with one.
        lesson (Lesson, optional): How the agent learns; it does not if :obj:`None`.
        gamma (float): Weight of the distillation. (default: :obj:`1.0`)
        warmup (int): Epochs over which the weight grows to :obj:`gamma`. (default: :obj:`5`)
        per_query (bool): Whether one set is picked for all facts of a query in a batch. (default: :obj:`False`)
        unlabelled (UnlabelledSampler, optional): Gives queries without a training fact to distil on as well.
        unlabelled_share (float): How many of those for each query of a batch. (default: :obj:`1.0`)
        unlabelled_agent (TeacherSampler or RuleSampler, optional): Picks the sets of those; :obj:`agent` if
            :obj:`None`.
        n3 (float): Weight of the N3 penalty. (default: :obj:`0.0`)
    """

    def __init__(
        self,
        model: TailScorer,
        ensemble: Ensemble,
        sampler: QuerySampler,
        facts: FactSignals | None,
        agent: TeacherSampler | RuleSampler,
        state: SelectionState,
        index: NeighborIndex,
        loss: nn.Module,
        lesson: Lesson | None = None,
        gamma: float = 1.0,
        warmup: int = 5,
        per_query: bool = False,
        unlabelled: UnlabelledSampler | None = None,
        unlabelled_share: float = 1.0,
        unlabelled_agent: TeacherSampler | RuleSampler | None = None,
        n3: float = 0.0,
    ) -> None:
        super().__init__(model, n3)
        self.ensemble = ensemble
        self.sampler = sampler
        self.facts = facts
        self.agent = agent
        self.state = state
        self.index = index
        self.loss = loss
        self.temperature = float(getattr(loss, "temperature", 1.0))
        self.lesson = lesson
        self.gamma = gamma
        self.warmup = warmup
        self.per_query = per_query
        self.unlabelled = unlabelled
        self.unlabelled_share = unlabelled_share
        self.unlabelled_agent = unlabelled_agent if unlabelled_agent is not None else agent

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch; the agent learns on the way."""
        logs = {} if self.lesson is None else self.lesson.before(self)
        if not self.index.per_query:
            batch = batch.ungrouped()
        scored = self.score(batch.head, batch.relation)
        assert self.facts is not None
        facts = self.facts.rows(batch.fact)
        teacher_logits = self.ensemble.ask(batch.head, batch.relation, self.folds(batch), "facts")
        target = None if self.index.per_query else batch.target
        groups = self.ensemble.groups(self.index, batch.head, batch.relation, target, teacher_logits)
        done = self.distil(scored, teacher_logits, batch, facts, groups)
        if self.lesson is not None:
            logs |= self.lesson.after(self, batch, facts, done)
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        ce = self.cross_entropy(scored, batch)
        rates = done.choice.action.float().mean(dim=0).tolist()
        logs |= {"ce": ce.item(), "kd": done.loss.item(), "gamma": gamma}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - done.choice.weight.mean().item()
        loss = ce + gamma * batch.weight * done.loss
        if self.unlabelled is not None:
            free = self._unlabelled_kd(*self.unlabelled.sample(max(1, round(self.unlabelled_share * len(batch.head)))))
            logs["kd_unlabelled"] = free.item()
            loss = loss + gamma * free
        return loss, logs

    def folds(self, batch: QueryBatch) -> Tensor | None:
        """The folds of a batch's rows, where teachers were cross-fitted."""
        return row_folds(self.sampler, batch) if self.ensemble.fold_teachers else None

    def distil(
        self,
        scored: Scored,
        teacher_logits: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        agent: TeacherSampler | RuleSampler | None = None,
    ) -> Distilled:
        """Lets the agent pick sets for the facts of a batch, and takes the loss of distilling them.

        Args:
            scored (Scored): What the student says of the queries.
            teacher_logits (Tensor): ``[Q, K, N]``; overwritten.
            batch (QueryBatch): The facts.
            facts (FactSignals): Signals of the facts.
            groups (GroupRows): Neighbours of the queries.
            agent (TeacherSampler or RuleSampler, optional): Who picks; the objective's own if :obj:`None`.
        """
        labels = soft_labels(teacher_logits, groups, self.temperature)
        form_b = isinstance(self.loss, NeighborDecoupledKDLoss) and self.loss.omega is not None
        view = view_student(scored.logits, labels, inside=form_b)
        row = batch.row
        if self.per_query and agent is None:
            first = _first_facts(row, batch.head.numel())
            choice = self._choose(scored.query, view, batch, facts.rows(first), row[first], agent).rows(row)
        else:
            choice = self._choose(scored.query, view, batch, facts, row, agent)
        return Distilled(self._loss(scored.logits, view, labels, row, choice.mixture), choice, view, labels)

    def _choose(
        self,
        query: Tensor,
        view: StudentView,
        batch: QueryBatch,
        facts: FactSignals,
        row: Tensor,
        agent: TeacherSampler | RuleSampler | None,
    ) -> TeacherChoice:
        """One set for each of the given rows' queries."""
        head, relation = batch.head[row], batch.relation[row]
        with torch.no_grad():
            log_prob = view.logits[row, facts.favourite] - view.log_all[row]
            divergence = (view.log_all.unsqueeze(-1) - view.near - view.rest)[row] - facts.teachers.entropy
            student = StudentSignals(log_prob, divergence)
        state = self.state(query[row], facts.teachers, student, head, relation, facts.favourite)
        return (agent or self.agent).sample(state, available=self.ensemble.available[head])

    def _loss(self, logits: Tensor, view: StudentView, labels: SoftLabels, row: Tensor, mixture: Tensor) -> Tensor:
        loss = self.loss
        if isinstance(loss, NeighborDecoupledKDLoss) and not loss.standardize:
            return mixed_kd_loss(view, labels, row, mixture, loss.alpha, loss.beta, loss.omega)
        # Any other loss wants a row for each fact: the reference path, slower and wider.
        weight = (mixture > 0).any(dim=-1).to(logits.dtype)
        value: Tensor = loss(logits[row], labels.mixture_logits(row, mixture), labels.groups.select(row), weight)
        return value

    def _unlabelled_kd(self, head: Tensor, relation: Tensor) -> Tensor:
        """The distillation loss of queries of which no answer is known; the agent is asked, but not rewarded."""
        device = self.ensemble.available.device
        head, relation = head.to(device), relation.to(device)
        row = torch.arange(head.numel(), device=device)
        batch = QueryBatch(head, relation, row, row, row)
        teacher_logits = self.ensemble.ask(head, relation, None, "unlabelled")
        favourite = self.ensemble.favourites(teacher_logits, head)
        groups = self.ensemble.groups(self.index, head, relation, favourite, teacher_logits)
        signals = teacher_signals(teacher_logits, row, favourite, groups, self.temperature)
        facts = FactSignals(signals, favourite, signals.log_prob)
        scored = self.score(head, relation)
        return self.distil(scored, teacher_logits, batch, facts, groups, self.unlabelled_agent).loss


def _first_facts(row: Tensor, num_rows: int) -> Tensor:
    """The number of one fact of each row, ``[Q]``."""
    first = row.new_zeros(num_rows)
    backwards = torch.arange(row.numel() - 1, -1, -1, device=row.device)
    return first.index_copy_(0, row.flip(0), backwards)
