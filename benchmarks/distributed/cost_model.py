"""What a step costs: a constant, the entities that a process works on, the messages; fitted to what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]


def least_squares(columns: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Coefficients that are not negative, with the least relative error."""
    rows, wanted = columns / seconds[:, None], np.ones(len(seconds))
    active = list(range(columns.shape[1]))
    while True:
        found = np.zeros(columns.shape[1])
        found[active] = np.linalg.lstsq(rows[:, active], wanted, rcond=None)[0]
        if (found >= 0).all():
            return found
        active.remove(int(found.argmin()))


@dataclass(frozen=True)
class Messages:
    """A sum over processes: so long for each, so long for each byte."""

    each: float
    byte: float

    @classmethod
    def fit(cls, rows: Sequence[Row]) -> Messages:
        sizes = np.array([[1.0, row["bytes"]] for row in rows])
        return cls(*least_squares(sizes, np.array([row["seconds"] for row in rows])))

    def seconds(self, row: Row) -> float:
        return self.each * row["messages"] + self.byte * row["bytes"]


@dataclass(frozen=True)
class Steps:
    """A step of one mode: ``constant + entity * (entities of a process)`` and its messages."""

    constant: float
    entity: float
    messages: Messages

    @classmethod
    def fit(cls, rows: Sequence[Row], messages: Messages) -> Steps:
        columns = np.array([[1.0, own(row)] for row in rows])
        seconds = np.array([row["seconds"] - messages.seconds(row) for row in rows])
        # Waiting for the slower process counts as work.
        return cls(*least_squares(columns, np.maximum(seconds, 1e-6)), messages)

    def seconds(self, row: Row) -> float:
        return self.constant + self.entity * own(row) + self.messages.seconds(row)

    def error(self, row: Row) -> float:
        """How far off, relative to what was measured."""
        return self.seconds(row) / row["seconds"] - 1.0


def own(row: Row) -> float:
    """Entities that a process works on: a part of them, or all for a part of the queries."""
    return float(row["entities"] / row["processes"])


@dataclass(frozen=True)
class Plan:
    """A run on paper.

    Args:
        entities, processes, queries, teachers: Sizes; a batch asks so many labelled and as many unlabelled queries.
        student_dim, teacher_dims: Columns of the entity tables, the latter of all teachers together.
    """

    entities: int = 4_600_000
    processes: int = 8
    queries: int = 1000
    teachers: int = 3
    student_dim: int = 400
    teacher_dims: int = 1600
    passes: int = 12 + 8 * 3  # of a slab of queries times entities, read or written: student, each teacher

    @property
    def own(self) -> int:
        return -(-self.entities // self.processes)

    @property
    def operations(self) -> float:
        """Multiplications and additions of the products of a process: scores, two gradients, the teachers' scores."""
        return 2.0 * 2 * self.queries * self.own * (3 * self.student_dim + self.teacher_dims)

    @property
    def slab_bytes(self) -> float:
        return 4.0 * 2 * self.queries * self.own * self.passes

    @property
    def table_bytes(self) -> float:
        """Student with gradient and optimiser, all of which a step touches."""
        return 4.0 * self.own * self.student_dim * 3

    @property
    def message_bytes(self) -> float:
        """Query entities of student and teachers, query gradients, and numbers a row, of two batches of queries."""
        row = 2 * self.student_dim + self.teacher_dims + 4 + 5 * self.teachers
        return 4.0 * 2 * self.queries * row

    @property
    def memory_bytes(self) -> float:
        return self.table_bytes + 4.0 * self.own * self.teacher_dims
