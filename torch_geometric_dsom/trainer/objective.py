"""What a batch costs: cross-entropy with reinforced multimodal distillation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.nn import rows_within
from torch_geometric_dsom.sampler import (
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
    log_of,
)
from torch_geometric_dsom.trainer.distillation_step import DistillationStep, Distilled
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import FactSignals, row_folds
from torch_geometric_dsom.trainer.fit import Logs, generator_states, load_generator_states
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.questions import Questions
from torch_geometric_dsom.trainer.scores import Scores


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


class DistillationObjective(DistillationStep):
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
            those of the teachers as well; query entities, gold answers, neighbours and the teachers' favourites are
            among them.
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
        parts = ensemble, agent, state, loss, per_query
        super().__init__(model, *parts, n3, dtype, workspace_bytes, candidates, relation_prediction, world)
        self.top_k = top_k
        self.sampler = sampler
        self.facts = facts
        self.index = index
        self.lesson = lesson
        self.gamma = gamma
        self.warmup = warmup
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
        named = [batch.head, batch.target]
        if self.index.kind != "topk":
            named.append(self.index.rows(batch.head, batch.relation, self._target(batch)).entity)
        if self.facts is not None:
            facts = self.facts.rows(batch.fact)
            named += [facts.favourite, facts.best.flatten().long()]
        return self.draw(*named)

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
                after = self._lesson_of(there, facts) if labelled else None
                seen = values[some], prob, factor, there, facts, groups, questions, candidates
                done, ce, kd = self.learn_from(*seen, agent, gamma, labelled, after)
                sums.add_(torch.stack([ce, kd]), alpha=piece.weight / batch.weight if batch.weight > 0 else 0.0)
                choices.append(done.choice)
            scores.learn(values, rows)
        return sums[0], sums[1], TeacherChoice.cat(choices)

    def _lesson_of(self, batch: QueryBatch, facts: FactSignals) -> Callable[[Distilled], None] | None:
        """What an agent that learns does with its choices for some facts."""
        lesson = self.lesson
        return None if lesson is None else lambda done: lesson.after(self, batch, facts, done)

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
        named = [head]
        if self.top_k > 0:  # nobody asked about these before
            rows = rows_within(self.workspace_bytes, self.ensemble.slabs, self.ensemble.num_columns)
            best = self.ensemble.best(head, relation, self.temperature, self.top_k, rows)
            named.append(best.flatten().to(head.device))
        if self.index.kind in ("head", "answers"):
            named.append(self.index.rows(head, relation).entity)
        return self.draw(*named)
