"""What an agent is asked: all that it sees of some facts, but for what the student's logits add."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.loss import StudentView
from torch_geometric_dsom.nn import plain_matmul
from torch_geometric_dsom.sampler import (
    Candidates,
    QueryBatch,
    RuleSampler,
    SelectionState,
    StudentSignals,
    TeacherChoice,
    TeacherSampler,
)
from torch_geometric_dsom.trainer.fact_signals import FactSignals


class Questions(NamedTuple):
    """Questions about facts, made for a whole batch at once and asked some at a time.

    Args:
        row (Tensor): Query of each question, ``[A]``, int64.
        favourite (Tensor): The teachers' favourite answer, its place among the candidates, ``[A]``, int64.
        entropy (Tensor): Entropy of each teacher, ``[A, K]``.
        state (Tensor): The state, in which the columns of the student are still zero, ``[A, D]``.
        available (Tensor): Which teachers may be chosen, ``[A, K]`` bool.
        columns (slice): Where the columns of the student are.
    """

    row: Tensor
    favourite: Tensor
    entropy: Tensor
    state: Tensor
    available: Tensor
    columns: slice

    def ask(
        self, agent: TeacherSampler | RuleSampler, view: StudentView, around: tuple[int, int] | None = None
    ) -> TeacherChoice:
        """What an agent picks; fills in what the student's logits add.

        Args:
            agent (TeacherSampler or RuleSampler): Who picks.
            view (StudentView): The student's logits on the queries.
            around (tuple[int, int], optional): How many questions other processes have before and after these.
        """
        divergence = -(view.near + view.rest)[self.row] - self.entropy
        student = StudentSignals(view.log_prob(self.row, self.favourite), divergence)
        self.state[:, self.columns] = student.features()
        with plain_matmul():
            if around is None:
                return agent.sample(self.state, available=self.available)
            return agent.sample(self.state, available=self.available, around=around)

    def part(self, questions: slice, first_row: int) -> Questions:
        """Some of the questions, without a copy.

        Args:
            questions (slice): Which.
            first_row (int): The query that is number 0 from here on.
        """
        row, favourite, entropy, state, available = (value[questions] for value in self[:-1])
        return Questions(row - first_row, favourite, entropy, state, available, self.columns)


@torch.no_grad()
def make_questions(
    state: SelectionState,
    available: Tensor,
    query: Tensor,
    batch: QueryBatch,
    facts: FactSignals,
    candidates: Candidates,
    per_query: bool = False,
) -> Questions:
    """Questions about the facts of a batch, or one about each query.

    Args:
        state (SelectionState): What the agent sees.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        query (Tensor): The student's query vectors, ``[Q, D]``.
        batch (QueryBatch): The facts.
        facts (FactSignals): Their signals.
        candidates (Candidates): What stands for all entities.
        per_query (bool): Whether there is one question a query; it has no fact's answer in it. (default: :obj:`False`)
    """
    row = batch.row
    if per_query:
        first = first_facts(row, batch.head.numel())
        row, facts = row[first], facts.rows(first)
    head = batch.head[row]
    favourite = facts.favourite.to(row.device, non_blocking=True)
    nothing = StudentSignals(query.new_zeros(row.numel()), torch.zeros_like(facts.teachers.entropy))
    seen = state(query[row], facts.teachers, nothing, head, batch.relation[row], favourite)
    columns = slice(state.columns("student_log_prob").start, state.columns("divergence").stop)
    return Questions(row, candidates.place(favourite), facts.teachers.entropy, seen, available[head], columns)


def first_facts(row: Tensor, num_rows: int) -> Tensor:
    """The number of one fact of each row, ``[Q]``.

    Example:
        >>> import torch
        >>> first_facts(torch.tensor([0, 0, 1]), 2)
        tensor([0, 2])
    """
    first = row.new_zeros(num_rows)
    backwards = torch.arange(row.numel() - 1, -1, -1, device=row.device)
    return first.index_copy_(0, row.flip(0), backwards)
