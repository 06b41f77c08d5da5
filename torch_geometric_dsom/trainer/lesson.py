"""How the agent learns: on which facts it is rewarded, and for what."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import grouped_cross_entropy
from torch_geometric_dsom.nn import plain_matmul, score_tangent
from torch_geometric_dsom.sampler import (
    Around,
    EndlessBatches,
    QueryBatch,
    QuerySampler,
    TeacherChoice,
    TeacherSampler,
    all_subsets,
    first_order_reward,
    margin_reward,
    subset_index,
)
from torch_geometric_dsom.trainer.distillation_step import Distilled, Rewards
from torch_geometric_dsom.trainer.fact_signals import FactSignals
from torch_geometric_dsom.trainer.fit import Logs
from torch_geometric_dsom.trainer.objective import DistillationObjective

RANKED_FACTS = 64  # a rank reward needs a row for each fact: it is given to so many facts of a training batch at most


class HeldOutLesson:
    """Rewards the agent on facts that neither student nor teachers are trained on, such as validation facts.

    Teachers know their training facts almost by heart, so a reward there praises who memorises best.

    Args:
        agent (TeacherSampler): Who learns.
        sampler (QuerySampler): Gives the facts, one a row.
        facts (FactSignals): Their signals.
        reward (str): ``"rank"``, ``"margin"`` or ``"influence"``.
        positive (bool): Whether a set that harms gets nothing instead of a penalty.
        known (KnownAnswers): Facts to leave out of ranks.
    """

    def __init__(
        self,
        agent: TeacherSampler,
        sampler: QuerySampler,
        facts: FactSignals,
        reward: str,
        positive: bool,
        known: KnownAnswers,
    ) -> None:
        self.agent = agent
        self.batches = EndlessBatches(sampler)
        self.facts = facts
        self.reward = reward
        self.positive = positive
        self.known = known

    def before(self, objective: DistillationObjective) -> Logs:
        """One update on the next held-out facts."""
        batch = next(self.batches)
        return _learn(self, objective, batch, self.facts.rows(batch.fact), None)

    def after(self, objective: DistillationObjective, part: QueryBatch, facts: FactSignals, done: Distilled) -> None:
        """Nothing: training facts are no lesson."""

    def finish(self, objective: DistillationObjective, batch: QueryBatch, choice: TeacherChoice) -> Logs:
        """Nothing more."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its facts."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self.batches.load_state_dict(state)


class TrainingLesson:
    """Rewards the agent for the sets that it picked for the training facts of a batch.

    With ``"rank"`` a few facts of the batch are ranked, each with a row of its own, and sets are picked for them anew.

    Args:
        agent (TeacherSampler): Who learns.
        reward (str): ``"margin"``, ``"influence"`` or ``"rank"``.
        positive (bool): Whether a set that harms gets nothing instead of a penalty.
        known (KnownAnswers): Facts to leave out of ranks.
    """

    def __init__(self, agent: TeacherSampler, reward: str, positive: bool, known: KnownAnswers) -> None:
        self.agent = agent
        self.reward = reward
        self.positive = positive
        self.known = known
        self._evidence: list[tuple[Tensor, Tensor]] = []

    def before(self, objective: DistillationObjective) -> Logs:
        """Nothing yet."""
        self._evidence = []
        return {}

    def after(self, objective: DistillationObjective, part: QueryBatch, facts: FactSignals, done: Distilled) -> None:
        """Takes the numbers that rewards are made of."""
        if self.reward != "rank":
            self._evidence.append(_evidence(self.reward, part, facts, done))

    def finish(self, objective: DistillationObjective, batch: QueryBatch, choice: TeacherChoice) -> Logs:
        """One update on the facts of the batch."""
        if self.reward == "rank":
            some = _few(batch)
            if objective.facts is None:
                raise ConfigError("signals: 'candidates' expects another reward than 'rank' on training facts")
            return _learn(self, objective, some, objective.facts.rows(some.fact), objective.folds(some))
        student, teachers = (torch.cat(parts) for parts in zip(*self._evidence, strict=True))
        rewards = _closed_form(self.reward, self.positive, student, teachers)
        return update(self.agent, choice, rewards, objective.world)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the facts are those of the batch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class LookaheadLesson:
    r"""Rewards the agent for what a step towards its sets gains on other facts, to first order.

    See :func:`~torch_geometric_dsom.sampler.lookahead_reward`.

    Args:
        agent (TeacherSampler): Who learns.
        sampler (QuerySampler): Gives the other facts.
        positive (bool): Whether a set that harms gets nothing instead of a penalty.
    """

    def __init__(self, agent: TeacherSampler, sampler: QuerySampler, positive: bool) -> None:
        self.agent = agent
        self.batches = EndlessBatches(sampler)
        self.positive = positive
        self._direction: dict[str, Tensor] = {}
        self._gain: list[Tensor] = []

    def before(self, objective: DistillationObjective) -> Logs:
        """Finds the direction in which the loss on the other facts grows."""
        model, self._gain = objective.model, []
        if not isinstance(model, nn.Module):
            raise ConfigError(f"reward: 'lookahead' expects a student that is a module, got {type(model).__name__}")
        others = next(self.batches).to(objective.device)
        loss = grouped_cross_entropy(model.score_tails(others.head, others.relation), others.row, others.target)
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        self._direction = {
            name: gradient for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None
        }
        return {}

    def after(self, objective: DistillationObjective, part: QueryBatch, facts: FactSignals, done: Distilled) -> None:
        """Takes what the direction does to the expectations of teachers, beside the student's."""
        assert isinstance(objective.model, nn.Module)
        tangent = score_tangent(objective.model, part.head, part.relation, self._direction)
        self._gain.append(_gain(tangent, done))

    def finish(self, objective: DistillationObjective, batch: QueryBatch, choice: TeacherChoice) -> Logs:
        """One update on the facts of the batch."""
        gain = torch.cat(self._gain)
        self._direction = {}
        # Gradients are small; what matters is which set is better, so rewards have unit size over the batch.
        size = gain.abs().sum() / objective.world.total(gain.numel())
        scale = objective.world.sum_(size).clamp_min(torch.finfo(gain.dtype).tiny)
        teachers = gain[batch.row.to(gain.device)] / scale
        rewards = _closed_form("lookahead", self.positive, teachers.new_zeros(len(teachers)), teachers)
        return update(self.agent, choice, rewards, objective.world)

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its facts."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self.batches.load_state_dict(state)


def update(agent: TeacherSampler, choice: TeacherChoice, rewards: Rewards, world: World = ALONE) -> Logs:
    """One update of an agent, with the rewards of all subsets where it wants them.

    Args:
        agent (TeacherSampler): Who learns.
        choice (TeacherChoice): What it chose.
        rewards (callable): From sets ``[M, K]`` to rewards ``[M]``, or from ``[M, S, K]`` to ``[M, S]``.
        world (World): Processes with facts of their own. (default: this one alone)
    """
    shared = (world,) if world.size > 1 else ()
    with torch.no_grad():
        if not agent.needs_all_rewards:
            reward = own = rewards(choice.action)
        else:
            reward = rewards(all_subsets(agent.num_teachers, choice.action.device).expand(len(choice.action), -1, -1))
            own = reward.gather(1, subset_index(choice.action).unsqueeze(-1)).squeeze(-1)
    total, number = world.sum_(torch.stack([own.sum(), own.new_tensor(own.numel())]))
    with plain_matmul():
        return {"reward": total / number.clamp_min(1), **agent.update(choice, reward, *shared)}


@torch.no_grad()
def _learn(
    lesson: HeldOutLesson | TrainingLesson,
    objective: DistillationObjective,
    batch: QueryBatch,
    facts: FactSignals,
    fold: Tensor | None,
) -> Logs:
    """One update on facts that have a row each."""
    ensemble = objective.ensemble
    scores = objective.scores(batch)
    values = scores.values(use="lesson")
    teacher_logits = ensemble.ask(batch.head, batch.relation, fold, "lesson", objective.everyone)
    ranked = None
    if lesson.reward == "rank":
        ranked = objective.rank_rewards(teacher_logits, values, batch, lesson.known, lesson.positive)
    prob = ensemble.softened_(teacher_logits, objective.temperature)
    groups = ensemble.groups(objective.index, batch.head, batch.relation, facts.favourite, prob, objective.everyone)
    batch = batch.to(objective.device)
    questions = objective.questions(scores.query, batch, facts, lesson.agent)
    done = objective.look(values, prob, batch, facts, groups, questions, lesson.agent, "lesson")
    if ranked is None:
        student, teachers = _evidence(lesson.reward, batch, facts, done)
        ranked = _closed_form(lesson.reward, lesson.positive, student, teachers)
    return update(lesson.agent, done.choice, ranked, objective.world)


def _evidence(reward: str, batch: QueryBatch, facts: FactSignals, done: Distilled) -> tuple[Tensor, Tensor]:
    """What rewards of facts are made of: a number of the student, ``[M]``, and one of each teacher, ``[M, K]``."""
    row = batch.row
    gold = done.view.log_prob(row, done.candidates.place(batch.target))
    if reward == "margin":
        return gold, facts.gold
    return -gold.exp(), _gain(done.view.prob(), done)[row] - facts.gold.exp()


def _closed_form(reward: str, positive: bool, student: Tensor, teachers: Tensor) -> Rewards:
    """Rewards that these numbers give."""
    if reward == "margin":
        return lambda action: margin_reward(teachers, student, action, positive)
    return lambda action: first_order_reward(student, teachers, action, positive)


def _gain(values: Tensor, done: Distilled) -> Tensor:
    """Expectations of values ``[Q, N]`` under the teachers less that under the student, ``[Q, K]``.

    What all values have in common may be a thousand times what tells the two apart, so it goes first.
    """
    own = (done.view.prob() * values).sum(dim=-1, keepdim=True)
    return done.labels.dot(values - own)


def _few(batch: QueryBatch) -> QueryBatch:
    """Some facts of a batch, a row each; their order in the batch is random already."""
    before, after = batch.around.facts
    most = min(max(RANKED_FACTS - before, 0), batch.target.numel())
    number = torch.arange(most, device=batch.head.device)
    row, before = batch.row[number], min(before, RANKED_FACTS)
    around = (before, min(RANKED_FACTS - before - most, after))
    facts = batch.target[number], batch.fact[number]
    return QueryBatch(batch.head[row], batch.relation[row], number, *facts, 1.0, Around(around, around))
