"""What a batch costs: cross-entropy with reinforced multimodal distillation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data import GroupRows, KnownAnswers, NeighborIndex
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
from torch_geometric_dsom.nn import rows_within
from torch_geometric_dsom.sampler import (
    ALL,
    Around,
    Candidates,
    CandidateSampler,
    QueryBatch,
    QuerySampler,
    RuleSampler,
    SelectionState,
    StudentSignals,
    TeacherChoice,
    TeacherSampler,
    UnlabelledSampler,
    filtered_probabilities,
    log_of,
    rank_reward,
)
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.ensemble import Ensemble, FactSignals, row_folds
from torch_geometric_dsom.trainer.fit import FitConfig, Logs, generator_states, load_generator_states
from torch_geometric_dsom.trainer.scores import Scores

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


class Lesson(Protocol):
    """How the agent learns."""

    def before(self, objective: DistillationObjective) -> Logs:
        """Before a batch is distilled; returns what to log."""

    def after(self, objective: DistillationObjective, batch: QueryBatch, facts: FactSignals, done: Distilled) -> Logs:
        """After it was; returns what to log."""

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its facts."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""


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
        facts (FactSignals, optional): Of all training facts; if :obj:`None`, those of a batch are told from its
            candidates when it comes.
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
        relation_prediction (float): Weight of the cross-entropy of the relations. (default: :obj:`0.0`)
        dtype (torch.dtype, optional): In which products with the entity table are computed; that of the model if
            :obj:`None`.
        workspace_bytes (int): Memory for logits, soft labels and what is made of them; a batch that needs more is
            computed in parts, and an agent that learns from training facts learns from each part.
            (default: :obj:`134217728`)
        candidates (CandidateSampler, optional): Draws the entities that stand for all in the softmaxes of a batch,
            those of the teachers as well; gold answers, neighbours and the teachers' favourites are among them.
        top_k (int): How many of the answers that the teachers find likely are among them for every query.
            (default: :obj:`0`)
        world (World): The processes that share each batch; the value is this one's share of the loss.
            (default: this one alone)
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
        workspace_bytes: int = FitConfig.workspace_bytes,
        candidates: CandidateSampler | None = None,
        top_k: int = 0,
        relation_prediction: float = 0.0,
        world: World = ALONE,
    ) -> None:
        super().__init__(model, n3, dtype, workspace_bytes, candidates, relation_prediction, world)
        self.top_k = top_k
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
        self.slabs = 3 + ensemble.slabs  # logits, what of them lies outside groups, a copy

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """The loss of a batch; the agent learns on the way."""
        logs: dict[str, float | Tensor] = {} if self.lesson is None else dict(self.lesson.before(self))
        if not self.index.per_query:
            batch = batch.ungrouped()
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        candidates = self._candidates(batch).to(self.device)
        scores = self.scores(batch, candidates)
        loss, sums = scores.query.new_zeros(()), dict[str, float | Tensor]()
        for rows, part in self.parts(scores, batch):
            value, found = self._distil(scores, rows, part, candidates, gamma)
            loss = loss + part.weight * value
            share = part.weight / batch.weight if batch.weight > 0 else 0.0
            for name, number in found.items():
                sums[name] = sums.get(name, 0.0) + share * number
        loss = scores.carry(loss) + self.penalty(scores, batch.to(self.device))
        logs |= {**sums, "gamma": gamma}
        if self.ensemble.cache is not None and self.ensemble.cache.top_k:
            logs["cache_error"] = self.ensemble.cache.error
        if self.unlabelled is not None:
            free = self._unlabelled(max(1, round(self.unlabelled_share * batch.num_queries)), gamma)
            # Logs are averaged over the facts of all processes.
            logs["kd_unlabelled"] = free.detach() * (batch.num_facts / max(batch.target.numel(), 1))
            loss = loss + gamma * free
        return loss, logs

    def state_dict(self) -> dict[str, Any]:
        """What changes in training beside the student: agent, lesson, and what is drawn."""
        state = super().state_dict()
        if isinstance(self.agent, nn.Module):
            state |= {"agent": self.agent.state_dict(), "agent_generators": generator_states(self.agent)}
        if self.lesson is not None:
            state["lesson"] = self.lesson.state_dict()
        if self.unlabelled is not None:
            state["unlabelled"] = self.unlabelled.generator.get_state()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        if isinstance(self.agent, nn.Module):
            self.agent.load_state_dict(state["agent"])
            load_generator_states(self.agent, state["agent_generators"])
        if self.lesson is not None:
            self.lesson.load_state_dict(state["lesson"])
        if self.unlabelled is not None:
            self.unlabelled.generator.set_state(state["unlabelled"])

    def _candidates(self, batch: QueryBatch) -> Candidates:
        """The entities that stand for all in a batch of facts."""
        if self.candidates is None:
            return self.everyone
        needed = [batch.target]
        if self.index.kind != "topk":
            needed.append(self.index.rows(batch.head, batch.relation, self._target(batch)).entity)
        if self.facts is None:
            return self.draw(torch.cat(needed))
        facts = self.facts.rows(batch.fact)
        required = torch.cat([*needed, facts.favourite, facts.best.flatten().long()])
        return self.draw(required)

    def _distil(
        self, scores: Scores, rows: slice, part: QueryBatch, candidates: Candidates, gamma: float
    ) -> tuple[Tensor, Logs]:
        """Distils on facts, a part of a batch; the loss without penalty, and what to log."""
        values, fold = scores.values(rows), self.folds(part)
        prob = self.ensemble.soften(part.head, part.relation, self.temperature, fold, "facts", candidates)
        groups = self.ensemble.groups(self.index, part.head, part.relation, self._target(part), prob, candidates)
        query, there = scores.query[rows], part.to(self.device)
        facts = self.facts.rows(part.fact) if self.facts is not None else self._tell(prob, there, groups, candidates)
        done, ce, kd, gradient = self._learn_from(
            values, query, prob, there, facts, groups, candidates, self.agent, gamma, True
        )
        scores.learn(gradient, rows)
        logs: dict[str, float | Tensor] = (
            {} if self.lesson is None else dict(self.lesson.after(self, part, facts, done))
        )
        count = max(len(part.row), 1)
        rates = done.choice.action.float().sum(dim=0) / count
        logs |= {"ce": ce, "kd": kd}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - done.choice.weight.sum() / count
        return ce + gamma * kd, logs

    def _tell(self, prob: Tensor, batch: QueryBatch, groups: GroupRows, candidates: Candidates) -> FactSignals:
        """Signals of the facts of a batch, from the candidates alone."""
        each = torch.arange(batch.head.numel(), device=batch.head.device)
        favourite = self.ensemble.favourites(prob, batch.head, candidates)
        signals = self.ensemble.signals(prob, each, favourite, groups, candidates).rows(batch.row)
        gold = log_of(self.ensemble.pick(prob, batch.row, batch.target, candidates))
        favourite = favourite[batch.row].cpu()
        return FactSignals(signals, favourite, gold, favourite.new_empty(len(favourite), 0, dtype=torch.int32))

    def _target(self, batch: QueryBatch) -> Tensor | None:
        """The gold answers, where groups are made of them."""
        return None if self.index.per_query else batch.target

    def folds(self, batch: QueryBatch) -> Tensor | None:
        """The folds of a batch's rows, where teachers were cross-fitted."""
        return row_folds(self.sampler, batch) if self.ensemble.fold_teachers else None

    @property
    def device(self) -> torch.device:
        """Where student and teachers are; batches come from the host, where they are looked up."""
        return self.ensemble.available.device

    def look(
        self,
        values: Tensor,
        query: Tensor,
        prob: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        agent: TeacherSampler | RuleSampler,
        use: str = "facts",
        candidates: Candidates | None = None,
    ) -> Distilled:
        """Lets an agent pick sets for the facts of a batch.

        Args:
            values (Tensor): The student's logits, ``[Q, N]``; overwritten.
            query (Tensor): The student's query vectors, ``[Q, D]``.
            prob (Tensor): Softened distributions of the teachers, ``[Q, K, N]``; overwritten.
            batch (QueryBatch): The facts.
            facts (FactSignals): Signals of the facts.
            groups (GroupRows): Neighbours of the queries.
            agent (TeacherSampler or RuleSampler): Who picks.
            use (str): Name of the memory. (default: :obj:`"facts"`)
            candidates (Candidates, optional): The entities that all of these are of; all :math:`N` if :obj:`None`.
        """
        candidates = self.everyone if candidates is None else candidates
        room, row = self.memory.room(f"{use}/outside", tuple(values.shape), values), batch.row
        view, labels = self.view(values, prob, groups, room, batch, facts, candidates)
        around = batch.around
        if self.per_query and agent is self.agent:
            first, lots = _first_facts(row, batch.head.numel()), around.queries
            choice = self._choose(query, view, batch, facts.rows(first), row[first], candidates, agent, lots).rows(row)
        else:
            choice = self._choose(query, view, batch, facts, row, candidates, agent, around.facts)
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
    ) -> tuple[StudentView, SoftLabels]:
        """Student and teachers with the sums that everything else is made of; see :meth:`look`."""
        labels = part_labels(prob, groups, self.temperature)
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
        target = batch.target.to(logits.device)
        return lambda action: rank_reward(teacher_prob, prob, target, action, positive)

    def _choose(
        self,
        query: Tensor,
        view: StudentView,
        batch: QueryBatch,
        facts: FactSignals,
        row: Tensor,
        candidates: Candidates,
        agent: TeacherSampler | RuleSampler,
        around: tuple[int, int],
    ) -> TeacherChoice:
        """One set for each of the given rows' queries."""
        head, relation = batch.head[row], batch.relation[row]
        divergence = (view.log_all.unsqueeze(-1) - view.near - view.rest)[row] - facts.teachers.entropy
        favourite = facts.favourite.to(row.device, non_blocking=True)
        student = StudentSignals(view.log_prob(row, candidates.place(favourite)), divergence)
        state = self.state(query[row].detach(), facts.teachers, student, head, relation, favourite)
        available = self.ensemble.available[head]
        if self.world.size == 1:
            return agent.sample(state, available=available)
        return agent.sample(state, available=available, around=around)

    def _learn_from(
        self,
        values: Tensor,
        query: Tensor,
        prob: Tensor,
        batch: QueryBatch,
        facts: FactSignals,
        groups: GroupRows,
        candidates: Candidates,
        agent: TeacherSampler | RuleSampler,
        gamma: float,
        labelled: bool,
    ) -> tuple[Distilled, Tensor, Tensor, Tensor]:
        """What was picked, cross-entropy, distillation loss, and the gradient of the former plus gamma the latter."""
        row, loss = batch.row, self.loss
        candidates.weigh_(values, self.temperature)
        plain = isinstance(loss, NeighborDecoupledKDLoss) and not loss.standardize
        together = plain and self.temperature == 1.0  # one softmax then serves both
        raw = None if together else self.memory.room("raw", tuple(values.shape), values).copy_(values)
        done = self.look(values, query, prob, batch, facts, groups, agent, "facts", candidates)
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
            gradient = mixed_kd_gradient_(done.view, done.labels, row, weights, scale, everywhere)
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
        return done, ce, kd, gradient

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

    def _unlabelled(self, number: int, gamma: float) -> Tensor:
        """The distillation loss of queries of which no answer is known; the agent is asked, but not rewarded."""
        assert self.unlabelled is not None
        mine = self.world.share(number)
        head, relation = (x[mine] for x in self.unlabelled.sample(number))
        around, row = (mine.start, number - mine.stop), torch.arange(len(head))
        batch = QueryBatch(head, relation, row, row, row, len(head) / number, Around(around, around))
        candidates = self._unlabelled_candidates(batch).to(self.device)
        scores = self.scores(batch, candidates)
        loss = scores.query.new_zeros(())
        for rows, part in self.parts(scores, batch):
            prob = self.ensemble.soften(part.head, part.relation, self.temperature, None, "facts", candidates)
            favourite = self.ensemble.favourites(prob, part.head, candidates)
            groups = self.ensemble.groups(self.index, part.head, part.relation, favourite.cpu(), prob, candidates)
            part = part.to(self.device)
            signals = self.ensemble.signals(prob, part.row, favourite, groups, candidates)
            nothing = favourite.new_empty(len(favourite), 0, dtype=torch.int32)
            facts, values = FactSignals(signals, favourite, signals.log_prob, nothing), scores.values(rows)
            query, agent = scores.query[rows], self.unlabelled_agent
            _, _, kd, gradient = self._learn_from(
                values, query, prob, part, facts, groups, candidates, agent, 1.0, False
            )
            scores.learn(gradient, rows)
            loss = loss + part.weight * kd
        return scores.carry(loss)

    def _unlabelled_candidates(self, batch: QueryBatch) -> Candidates:
        """The entities that stand for all in a batch of queries without an answer."""
        if self.candidates is None:
            return self.everyone
        head, relation = batch.head, batch.relation
        needed = [head[:0]]
        if self.top_k > 0:  # nobody asked about these before
            rows = rows_within(self.workspace_bytes, self.ensemble.slabs, self.ensemble.num_columns)
            best = self.ensemble.best(head, relation, self.temperature, self.top_k, rows)
            needed.append(best.flatten().to(head.device))
        if self.index.kind in ("head", "answers"):
            needed.append(self.index.rows(head, relation).entity)
        return self.draw(torch.cat(needed))


def _first_facts(row: Tensor, num_rows: int) -> Tensor:
    """The number of one fact of each row, ``[Q]``."""
    first = row.new_zeros(num_rows)
    backwards = torch.arange(row.numel() - 1, -1, -1, device=row.device)
    return first.index_copy_(0, row.flip(0), backwards)
