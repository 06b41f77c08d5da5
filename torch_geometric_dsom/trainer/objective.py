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
    grouped_cross_entropy_,
    mixed_kd_gradient_,
    mixed_kd_loss,
    mixed_kd_weights,
    part_labels,
    view_student,
    with_gradient,
)
from torch_geometric_dsom.nn import Scorer, Workspace, product
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
        values (Tensor): Logits without a graph, ``[Q, N]``; memory that the next batch uses again, and that whoever
            computes a loss may overwrite.
        query (Tensor): Query vectors, ``[Q, D]``; no columns where the model has no such thing.
        table (Tensor, optional): The entity vectors, where the model has them.
        logits (Tensor, optional): Logits with their graph, where they are more than the product of the two.
    """

    values: Tensor
    query: Tensor
    table: Tensor | None
    logits: Tensor | None


class CrossEntropyObjective:
    r"""1-vs-all cross-entropy with N3: :math:`\mathrm{CE} + \lambda \, \mathrm{N3}`.

    The gradient with respect to the logits is made where they are, together with the value; no graph is kept of
    anything of the size of the logits.

    Args:
        model (Scorer or TailScorer): What is trained.
        n3 (float): Weight :math:`\lambda` of the penalty. (default: :obj:`0.0`)
        dtype (torch.dtype, optional): In which products with the entity table are computed, such as
            ``torch.bfloat16``; that of the model if :obj:`None`.

    Raises:
        ConfigError: If a penalty is asked of a model that has none.
    """

    def __init__(self, model: TailScorer, n3: float = 0.0, dtype: torch.dtype | None = None) -> None:
        if n3 > 0 and not isinstance(model, Scorer):
            raise ConfigError(f"n3: expected 0 for a {type(model).__name__}, which has no such penalty, got {n3}")
        self.model = model
        self.n3 = n3
        self.dtype = dtype
        self.memory = Workspace()

    def score(self, head: Tensor, relation: Tensor, use: str = "facts") -> Scored:
        """What the model says of queries.

        Args:
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            use (str): Name of the memory for the values. (default: :obj:`"facts"`)
        """
        model, logits, table = self.model, None, None
        if isinstance(model, Scorer):
            table = model.entity_table()
            query = model.query(head, relation, table)
            if model.interaction.is_product:
                values = self.memory.room(f"{use}/values", (query.size(0), table.size(0)), query)
                product(query.detach(), table.detach().T, self.dtype, out=values)
                return Scored(values, query, table, None)
            logits = model.score(query, table)
        else:
            logits = model.score_tails(head, relation)
            query = logits.new_empty(head.numel(), 0)
        values = self.memory.room(f"{use}/values", tuple(logits.shape), logits).copy_(logits.detach())
        return Scored(values, query, table, logits)

    def carry(self, value: Tensor, scored: Scored, gradient: Tensor) -> Tensor:
        """A value with its gradient with respect to the logits, carried to what the logits are made of.

        Args:
            value (Tensor): A scalar.
            scored (Scored): What the model said.
            gradient (Tensor): ``[Q, N]``; its memory may be used again.
        """
        if scored.logits is not None:
            return with_gradient(value, [(scored.logits, gradient.clone())])
        assert scored.table is not None
        query, table = scored.query, scored.table
        pairs = [
            (query, product(gradient, table.detach(), self.dtype)),
            (table, product(gradient.T, query.detach(), self.dtype)),
        ]
        return with_gradient(value, pairs)

    def penalty(self, scored: Scored, batch: QueryBatch) -> Tensor | float:
        """The weighted N3 penalty of the facts of a batch."""
        if self.n3 == 0 or not isinstance(self.model, Scorer):
            return 0.0
        head, relation = batch.head[batch.row], batch.relation[batch.row]
        return batch.weight * self.n3 * self.model.penalty(head, relation, batch.target, scored.table)

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch."""
        scored = self.score(batch.head, batch.relation)
        value = grouped_cross_entropy_(scored.values, batch.row, batch.target, scale=batch.weight)
        return self.carry(batch.weight * value, scored, scored.values) + self.penalty(scored, batch), {}


class Distilled(NamedTuple):
    """What became of a batch of facts.

    Args:
        choice (TeacherChoice): The sets picked, a row a fact.
        view (StudentView): The student's logits and sums over them, a row a query.
        labels (SoftLabels): Soft labels, a row a query.
    """

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
        dtype (torch.dtype, optional): In which products with the entity table are computed; that of the model if
            :obj:`None`.
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
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(model, n3, dtype)
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
        prob = self.ensemble.soften(batch.head, batch.relation, self.temperature, self.folds(batch), "facts")
        groups = self.ensemble.groups(self.index, batch.head, batch.relation, self._target(batch), prob)
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        done, ce, kd, gradient = self._learn_from(scored, prob, batch, facts, groups, self.agent, gamma, True)
        loss = self.carry(batch.weight * (ce + gamma * kd), scored, gradient) + self.penalty(scored, batch)
        if self.lesson is not None:
            logs |= self.lesson.after(self, batch, facts, done)
        rates = done.choice.action.float().mean(dim=0).tolist()
        logs |= {"ce": ce.item(), "kd": kd.item(), "gamma": gamma}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - done.choice.weight.mean().item()
        if self.unlabelled is not None:
            free = self._unlabelled(max(1, round(self.unlabelled_share * len(batch.head))), gamma)
            logs["kd_unlabelled"] = free.item()
            loss = loss + gamma * free
        return loss, logs

    def _target(self, batch: QueryBatch) -> Tensor | None:
        """The gold answers, where groups are made of them."""
        return None if self.index.per_query else batch.target

    def folds(self, batch: QueryBatch) -> Tensor | None:
        """The folds of a batch's rows, where teachers were cross-fitted."""
        return row_folds(self.sampler, batch) if self.ensemble.fold_teachers else None

    def look(
        self,
        scored: Scored,
        prob: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        agent: TeacherSampler | RuleSampler,
        use: str = "facts",
    ) -> Distilled:
        """Lets an agent pick sets for the facts of a batch.

        Args:
            scored (Scored): What the student says of the queries; its values are overwritten.
            prob (Tensor): Softened distributions of the teachers, ``[Q, K, N]``; overwritten.
            batch (QueryBatch): The facts.
            facts (FactSignals): Signals of the facts.
            groups (GroupRows): Neighbours of the queries.
            agent (TeacherSampler or RuleSampler): Who picks.
            use (str): Name of the memory. (default: :obj:`"facts"`)
        """
        labels = part_labels(prob, groups, self.temperature)
        room = self.memory.room(f"{use}/outside", tuple(scored.values.shape), scored.values)
        view = view_student(scored.values, labels, room)
        row = batch.row
        if self.per_query and agent is self.agent:
            first = _first_facts(row, batch.head.numel())
            choice = self._choose(scored.query, view, batch, facts.rows(first), row[first], agent).rows(row)
        else:
            choice = self._choose(scored.query, view, batch, facts, row, agent)
        return Distilled(choice, view, labels)

    def _choose(
        self,
        query: Tensor,
        view: StudentView,
        batch: QueryBatch,
        facts: FactSignals,
        row: Tensor,
        agent: TeacherSampler | RuleSampler,
    ) -> TeacherChoice:
        """One set for each of the given rows' queries."""
        head, relation = batch.head[row], batch.relation[row]
        divergence = (view.log_all.unsqueeze(-1) - view.near - view.rest)[row] - facts.teachers.entropy
        student = StudentSignals(view.log_prob(row, facts.favourite), divergence)
        state = self.state(query[row].detach(), facts.teachers, student, head, relation, facts.favourite)
        return agent.sample(state, available=self.ensemble.available[head])

    def _learn_from(
        self,
        scored: Scored,
        prob: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        agent: TeacherSampler | RuleSampler,
        gamma: float,
        labelled: bool,
    ) -> tuple[Distilled, Tensor, Tensor, Tensor]:
        """What was picked, cross-entropy, distillation loss, and the gradient of the former plus gamma the latter."""
        row, target = batch.row, batch.target
        loss, values = self.loss, scored.values
        plain = isinstance(loss, NeighborDecoupledKDLoss) and not loss.standardize
        together = plain and self.temperature == 1.0  # one softmax then serves both
        raw = None if together else self.memory.room("raw", tuple(values.shape), values).copy_(values)
        done = self.look(scored, prob, batch, facts, groups, agent)
        ce = values.new_zeros(())
        if isinstance(loss, NeighborDecoupledKDLoss) and plain:
            weights = mixed_kd_weights(done.labels, row, done.choice.mixture, loss.alpha, loss.beta, loss.omega)
            kd, everywhere, share = mixed_kd_loss(done.view, done.labels, row, weights), None, batch.weight / len(row)
            if labelled and together:
                ce = -done.view.log_prob(row, target).mean()
                everywhere = torch.bincount(row, minlength=len(values)) * share
            scale = gamma * batch.weight
            gradient = mixed_kd_gradient_(done.view, done.labels, row, weights, scale, everywhere)
            if everywhere is not None:
                gradient.index_put_((row, target), values.new_full((), -share), accumulate=True)
        else:
            assert raw is not None
            kd, gradient = self._any_loss(raw, done, row, gamma * batch.weight)
        if labelled and raw is not None:
            ce = grouped_cross_entropy_(raw, row, target, scale=batch.weight)
            gradient.add_(raw)
        return done, ce, kd, gradient

    def _any_loss(self, raw: Tensor, done: Distilled, row: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Value and gradient of a loss that wants a row for each fact: the reference path, slower and wider."""
        mixture = done.choice.mixture
        with torch.enable_grad():
            logits = raw.clone().requires_grad_()
            weight = (mixture > 0).any(dim=-1).to(raw.dtype)
            teacher = done.labels.mixture_logits(row, mixture)
            value: Tensor = self.loss(logits[row], teacher, done.labels.groups.select(row), weight)
        return value.detach(), torch.autograd.grad(value, logits)[0].mul_(scale)

    def _unlabelled(self, number: int, gamma: float) -> Tensor:
        """The distillation loss of queries of which no answer is known; the agent is asked, but not rewarded."""
        assert self.unlabelled is not None
        head, relation = (x.to(self.ensemble.available.device) for x in self.unlabelled.sample(number))
        row = torch.arange(number, device=head.device)
        batch = QueryBatch(head, relation, row, row, row)
        prob = self.ensemble.soften(head, relation, self.temperature, None, "facts")
        favourite = self.ensemble.favourites(prob, head)
        groups = self.ensemble.groups(self.index, head, relation, favourite, prob)
        signals = teacher_signals(prob, row, favourite, groups)
        facts = FactSignals(signals, favourite, signals.log_prob)
        scored = self.score(head, relation)
        _, _, kd, gradient = self._learn_from(scored, prob, batch, facts, groups, self.unlabelled_agent, 1.0, False)
        return self.carry(kd, scored, gradient)


def _first_facts(row: Tensor, num_rows: int) -> Tensor:
    """The number of one fact of each row, ``[Q]``."""
    first = row.new_zeros(num_rows)
    backwards = torch.arange(row.numel() - 1, -1, -1, device=row.device)
    return first.index_copy_(0, row.flip(0), backwards)
