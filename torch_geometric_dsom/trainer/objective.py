"""What a batch costs: cross-entropy with reinforced multimodal distillation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from torch_geometric_dsom.trainer.questions import Questions, make_questions
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

    def after(self, objective: DistillationObjective, part: QueryBatch, facts: FactSignals, done: Distilled) -> None:
        """After some of its facts were."""

    def finish(self, objective: DistillationObjective, batch: QueryBatch, choice: TeacherChoice) -> Logs:
        """After all of them were, in their order; returns what to log."""

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
        workspace_bytes (int): Memory for logits, soft labels and what is made of them, a third each; a batch that needs
            more is computed in parts, with the same choices, loss and gradient. (default: :obj:`134217728`)
        candidates (CandidateSampler, optional): Draws the entities that stand for all in the softmaxes of a batch,
            those of the teachers as well; gold answers, neighbours and the teachers' favourites are among them.
        top_k (int): How many of the answers that the teachers find likely are among them for every query.
            (default: :obj:`0`)
        world (World): The processes that share each batch; the value is this one's share of the loss.
            (default: this one alone)
    """

    slabs = 3  # of the budget, a third is for the student's logits

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

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """The loss of a batch; the agent learns on the way."""
        logs: dict[str, float | Tensor] = {} if self.lesson is None else dict(self.lesson.before(self))
        batch = batch.in_order() if self.index.per_query else batch.ungrouped()
        gamma = self.gamma * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.gamma
        candidates = self._candidates(batch).to(self.device)
        scores = self.scores(batch, candidates)
        ce, kd, choice = self._distil(scores, batch, candidates, self.agent, gamma, self.folds(batch), True)
        loss = scores.carry(batch.weight * (ce + gamma * kd)) + self.penalty(scores, batch.to(self.device))
        if self.lesson is not None:
            logs |= self.lesson.finish(self, batch, choice)
        count = max(len(batch.row), 1)
        rates = choice.action.float().sum(dim=0) / count
        logs |= {"ce": ce, "kd": kd, "gamma": gamma}
        logs |= {f"select/{name}": rate for name, rate in zip(self.state.teachers, rates, strict=True)}
        logs["select/none"] = 1.0 - choice.weight.sum() / count
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
        self,
        scores: Scores,
        batch: QueryBatch,
        candidates: Candidates,
        agent: TeacherSampler | RuleSampler,
        gamma: float,
        fold: Tensor | None,
        labelled: bool,
    ) -> tuple[Tensor, Tensor, TeacherChoice]:
        """Cross-entropy, distillation loss and what was picked; the scores take the gradient.

        Products are made for as many rows as there is memory for, passes over what they give for few rows at a time.
        """
        sums, choices = scores.query.new_zeros(2), []
        for rows, part in self.parts(scores, batch):
            values, query, folds = (
                scores.values(rows),
                scores.query[rows].detach(),
                None if fold is None else fold[rows],
            )
            reader = self.ensemble.reader(
                part.head, part.relation, self.temperature, folds, "facts", candidates, self._third
            )
            pieces = list(self.pieces(part, values.size(1)))
            if labelled:
                known = iter(self._known(part, query, candidates, pieces))
            for some, piece in pieces:
                exact = not labelled or self.facts is None  # signals are made of these
                prob, factor = (reader.read(some), 1.0) if exact else reader.read_times(some)
                there = piece.to(self.device)
                if labelled:
                    facts, groups, questions = next(known)
                else:
                    facts, groups, questions = self._free(piece, query[some], prob, candidates)
                if groups is None:
                    groups = self.ensemble.groups(self.index, piece.head, piece.relation, None, prob, candidates)
                if facts is None or questions is None:
                    facts = self._tell(prob, there, groups, candidates)
                    questions = self.questions(query[some], there, facts, agent, candidates)
                done, ce, kd = self._learn_from(
                    values[some], prob, factor, there, facts, groups, questions, candidates, agent, gamma, labelled
                )
                sums.add_(torch.stack([ce, kd]), alpha=piece.weight / batch.weight if batch.weight > 0 else 0.0)
                choices.append(done.choice)
            scores.learn(values, rows)
        return sums[0], sums[1], TeacherChoice.cat(choices)

    @property
    def _third(self) -> int:
        """Memory for logits of student or teachers, or for what is made of them."""
        return max(self.workspace_bytes // 3, 1)

    def pieces(self, part: QueryBatch, num_columns: int) -> Iterator[tuple[slice, QueryBatch]]:
        """A part of a batch in pieces over which passes are quick."""
        slabs = self.ensemble.num_teachers + 3  # soft labels, the student's logits, those outside groups, a copy
        return part.parts(self.ensemble.piece_rows(slabs, num_columns, self._third))

    def _known(
        self, part: QueryBatch, query: Tensor, candidates: Candidates, pieces: list[tuple[slice, QueryBatch]]
    ) -> Iterator[tuple[FactSignals | None, GroupRows | None, Questions | None]]:
        """What is known of facts beforehand, looked up for all pieces at once; nothing where teachers must say it."""
        groups: Sequence[GroupRows | None] = [None] * len(pieces)
        if self.index.kind != "topk":
            whole = self.index.rows(part.head, part.relation, self._target(part))
            groups = [candidates.groups(some.to(self.device)) for some in whole.split([rows for rows, _ in pieces])]
        if self.facts is None:
            yield from ((None, group, None) for group in groups)
            return
        facts = self.facts.rows(part.fact)
        questions, start = self.questions(query, part.to(self.device), facts, self.agent, candidates), 0
        for (rows, piece), group in zip(pieces, groups, strict=True):
            some = slice(start, start + piece.row.numel())
            start = some.stop
            asked = rows if self.per_query else some
            yield facts.part(some), group, questions.part(asked, rows.start)

    def _free(
        self, piece: QueryBatch, query: Tensor, prob: Tensor, candidates: Candidates
    ) -> tuple[FactSignals, GroupRows, Questions]:
        """What teachers think of queries of which no answer is known: signals of their favourites."""
        favourite = self.ensemble.favourites(prob, piece.head, candidates)
        groups = self.ensemble.groups(self.index, piece.head, piece.relation, favourite.cpu(), prob, candidates)
        there = piece.to(favourite.device)
        signals = self.ensemble.signals(prob, there.row, favourite, groups, candidates)
        nothing = favourite.new_empty(len(favourite), 0, dtype=torch.int32)
        facts = FactSignals(signals, favourite, signals.log_prob, nothing)
        return facts, groups, self.questions(query, there, facts, self.unlabelled_agent, candidates)

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

    def _learn_from(
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
    ) -> tuple[Distilled, Tensor, Tensor]:
        """What was picked, cross-entropy, distillation loss; values become the gradient of CE plus gamma times KD."""
        row, loss = batch.row, self.loss
        candidates.weigh_(values, self.temperature)
        plain = isinstance(loss, NeighborDecoupledKDLoss) and not loss.standardize
        together = plain and self.temperature == 1.0  # one softmax then serves both
        raw = None if together else self.memory.room("raw", tuple(values.shape), values).copy_(values)
        done = self.look(values, prob, batch, facts, groups, questions, agent, "facts", candidates, factor)
        if labelled and self.lesson is not None:
            self.lesson.after(self, batch, facts, done)
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

    def _unlabelled(self, number: int, gamma: float) -> Tensor:
        """The distillation loss of queries of which no answer is known; the agent is asked, but not rewarded."""
        assert self.unlabelled is not None
        mine = self.world.share(number)
        head, relation = (x[mine] for x in self.unlabelled.sample(number))
        around, row = (mine.start, number - mine.stop), torch.arange(len(head))
        batch = QueryBatch(head, relation, row, row, row, len(head) / number, Around(around, around))
        candidates = self._unlabelled_candidates(batch).to(self.device)
        scores = self.scores(batch, candidates)
        _, kd, _ = self._distil(scores, batch, candidates, self.unlabelled_agent, 1.0, None, False)
        return scores.carry(batch.weight * kd)

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
