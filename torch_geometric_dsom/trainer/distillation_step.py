"""What becomes of some queries of a batch: an agent picks teachers, their logits turn into the gradient of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data import GroupRows, KnownAnswers
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
    SoftLabels,
    StudentView,
    mixed_kd_gradient_,
    mixed_kd_loss,
    mixed_kd_weights,
    part_labels,
    view_student,
)
from torch_geometric_dsom.sampler import (
    ALL,
    Candidates,
    CandidateSampler,
    QueryBatch,
    RuleSampler,
    SelectionState,
    TeacherChoice,
    TeacherSampler,
    filtered_probabilities,
    rank_reward,
)
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import FactSignals
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.questions import Questions, make_questions

Rewards = Callable[[Tensor], Tensor]


class Distilled(NamedTuple):
    """What became of a batch of facts.

    Args:
        choice (TeacherChoice): The sets picked, a row a fact.
        view (StudentView): The student's logits and sums over them, a row a query.
        labels (SoftLabels): Soft labels, a row a query.
        candidates (Candidates): The entities that logits and labels are of.
    """

    choice: TeacherChoice
    view: StudentView
    labels: SoftLabels
    candidates: Candidates = ALL


class DistillationStep(CrossEntropyObjective):
    """A student, its teachers, who picks them, and the loss: all that is needed once logits and soft labels are there.

    Args:
        model (Scorer or TailScorer): The student.
        ensemble (Ensemble): The teachers.
        agent (TeacherSampler or RuleSampler): Picks the sets.
        state (SelectionState): What the agent sees.
        loss (nn.Module): The distillation loss; :class:`~torch_geometric_dsom.loss.NeighborDecoupledKDLoss` on plain
            logits is computed without a row for each fact, any other called with one.
        per_query (bool): Whether one set is picked for all facts of a query in a batch. (default: :obj:`False`)
        n3 (float): As all that follow, see :class:`CrossEntropyObjective`.
    """

    def __init__(
        self,
        model: TailScorer,
        ensemble: Ensemble,
        agent: TeacherSampler | RuleSampler,
        state: SelectionState,
        loss: nn.Module,
        per_query: bool = False,
        n3: float = 0.0,
        dtype: torch.dtype | None = None,
        workspace_bytes: int = FitConfig.workspace_bytes,
        candidates: CandidateSampler | None = None,
        relation_prediction: float = 0.0,
        world: World = ALONE,
    ) -> None:
        super().__init__(model, n3, dtype, workspace_bytes, candidates, relation_prediction, world)
        self.ensemble = ensemble
        self.agent = agent
        self.state = state
        self.loss = loss
        self.temperature = float(getattr(loss, "temperature", 1.0))
        self.per_query = per_query

    def questions(
        self,
        query: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        agent: TeacherSampler | RuleSampler,
        candidates: Candidates | None = None,
    ) -> Questions:
        """What an agent is asked about facts; another agent than that of the training facts is asked about each.

        Args:
            query (Tensor): The student's query vectors, ``[Q, D]``.
            batch (QueryBatch): The facts.
            facts (FactSignals): Signals of the facts.
            agent (TeacherSampler or RuleSampler): Who picks.
            candidates (Candidates, optional): What stands for all entities; all :math:`N` if :obj:`None`.
        """
        candidates = self.everyone if candidates is None else candidates
        per_query = self.per_query and agent is self.agent
        return make_questions(self.state, self.ensemble.available, query, batch, facts, candidates, per_query)

    @property
    def device(self) -> torch.device:
        """Where student and teachers are; batches come from the host, where they are looked up."""
        return self.ensemble.available.device

    def look(
        self,
        values: Tensor,
        prob: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        questions: Questions,
        agent: TeacherSampler | RuleSampler,
        use: str = "facts",
        candidates: Candidates | None = None,
        factor: float = 1.0,
    ) -> Distilled:
        """Lets an agent pick sets for the facts of a batch.

        Args:
            values (Tensor): The student's logits, ``[Q, N]``; overwritten.
            prob (Tensor): Softened distributions of the teachers times :obj:`factor`, ``[Q, K, N]``; overwritten.
            batch (QueryBatch): The facts.
            facts (FactSignals): Signals of the facts.
            groups (GroupRows): Neighbours of the queries.
            questions (Questions): What the agent is asked: about each fact, or about each query.
            agent (TeacherSampler or RuleSampler): Who picks.
            use (str): Name of the memory. (default: :obj:`"facts"`)
            candidates (Candidates, optional): The entities that all of these are of; all :math:`N` if :obj:`None`.
            factor (float): What the distributions are times too large. (default: :obj:`1.0`)
        """
        candidates = self.everyone if candidates is None else candidates
        room, row = self.memory.room(f"{use}/outside", tuple(values.shape), values), batch.row
        view, labels = self.view(values, prob, groups, room, batch, facts, candidates, factor)
        per_query = self.per_query and agent is self.agent
        around = batch.around.queries if per_query else batch.around.facts
        choice = questions.ask(agent, view, around if self.world.size > 1 else None)
        choice = choice.rows(row) if per_query else choice
        return Distilled(choice, view, labels, candidates)

    def view(
        self,
        values: Tensor,
        prob: Tensor,
        groups: GroupRows,
        room: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        candidates: Candidates,
        factor: float = 1.0,
    ) -> tuple[StudentView, SoftLabels]:
        """Student and teachers with the sums that everything else is made of; see :meth:`look`."""
        labels = part_labels(prob, groups, self.temperature, factor)
        return view_student(values, labels, room), labels

    def rank_rewards(
        self, teacher_logits: Tensor, logits: Tensor, batch: QueryBatch, known: KnownAnswers, positive: bool
    ) -> Rewards:
        """Rewards by filtered ranks, see :func:`~torch_geometric_dsom.sampler.rank_reward`.

        Args:
            teacher_logits (Tensor): ``[M, K, N]``; the rewards do not need them any more.
            logits (Tensor): Of the student, ``[M, N]``.
            batch (QueryBatch): Facts, one a row.
            known (KnownAnswers): What is known.
            positive (bool): Whether a set that harms gets nothing instead of a penalty.
        """
        teacher_prob, prob = filtered_probabilities(teacher_logits, logits, batch, known)
        target = batch.target.to(logits.device, non_blocking=True)
        return lambda action: rank_reward(teacher_prob, prob, target, action, positive)

    def learn_from(
        self,
        values: Tensor,
        prob: Tensor,
        factor: float,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        questions: Questions,
        candidates: Candidates,
        agent: TeacherSampler | RuleSampler,
        gamma: float,
        labelled: bool,
        after: Callable[[Distilled], None] | None = None,
    ) -> tuple[Distilled, Tensor, Tensor]:
        """What was picked, cross-entropy, distillation loss; values become the gradient of CE plus gamma times KD.

        Args:
            values (Tensor): As all that follow, see :meth:`look`.
            gamma (float): Weight of the distillation.
            labelled (bool): Whether the facts of the batch have gold answers: else there is no cross-entropy.
            after (callable, optional): Told what was picked, before the values are overwritten.
        """
        row, loss = batch.row, self.loss
        candidates.weigh_(values, self.temperature)
        plain = isinstance(loss, NeighborDecoupledKDLoss) and not loss.standardize
        together = plain and self.temperature == 1.0  # one softmax then serves both
        raw = None if together else self.memory.room("raw", tuple(values.shape), values).copy_(values)
        done = self.look(values, prob, batch, facts, groups, questions, agent, "facts", candidates, factor)
        if after is not None:
            after(done)
        target = candidates.place(batch.target) if labelled else row
        ce = values.new_zeros(())
        if isinstance(loss, NeighborDecoupledKDLoss) and plain:
            weights = mixed_kd_weights(done.labels, row, done.choice.mixture, loss.alpha, loss.beta, loss.omega)
            count = max(len(row), 1)
            kd, everywhere, share = mixed_kd_loss(done.view, done.labels, row, weights), None, batch.weight / count
            if labelled and together:
                ce = -done.view.log_prob(row, target).sum() / count
                everywhere = values.new_zeros(len(values)).index_add_(0, row, values.new_full((len(row),), share))
            scale = gamma * batch.weight
            gradient = mixed_kd_gradient_(done.view, done.labels, row, weights, scale, everywhere, values)
            if everywhere is not None:
                at = self.where(row, target, candidates)
                gradient.index_put_(at, values.new_full((), -share), accumulate=True)
        else:
            assert raw is not None
            kd, gradient = self._any_loss(raw, done, row, gamma * batch.weight)
        if labelled and raw is not None:
            candidates.weigh_(raw, 1.0 - self.temperature)  # cross-entropy has no temperature
            ce = self.cross_entropy_(raw, row, target, batch.weight, candidates)
            gradient.add_(raw)
        if gradient is not values:
            values.copy_(gradient)
        return done, ce, kd

    def where(self, row: Tensor, target: Tensor, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Rows and columns of targets, those that have one here."""
        return row, target

    def _any_loss(self, raw: Tensor, done: Distilled, row: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Value and gradient of a loss that wants a row for each fact: the reference path, slower and wider."""
        mixture = done.choice.mixture
        with torch.enable_grad():
            logits = raw.clone().requires_grad_()
            weight = (mixture > 0).any(dim=-1).to(raw.dtype)
            teacher = done.labels.mixture_logits(row, mixture)
            value: Tensor = self.loss(logits[row], teacher, done.labels.groups.select(row), weight)
        return value.detach(), torch.autograd.grad(value, logits)[0].mul_(scale)
