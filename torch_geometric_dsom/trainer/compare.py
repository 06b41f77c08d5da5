"""The result table of a run: every teacher, the CE-only student and the distilled one, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.evaluation import RankingResult, evaluate
from torch_geometric_dsom.trainer.dsom import DSoMTrainer

STUDENT, BASELINE = "DSoM student", "CE-only student"


@dataclass(frozen=True)
class Row:
    """One scorer of a :class:`Comparison`.

    Args:
        name (str): What it is.
        result (RankingResult): How it ranks.
        share (float, optional): Of a teacher: share of training facts for which the agent chose it in the last epoch.
    """

    name: str
    result: RankingResult
    share: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Metrics of all scorers of a run on one split.

    Args:
        split (str): The split.
        rows (list[Row]): Teachers, CE-only student where there is one, DSoM student.
        none_share (float, optional): Share of training facts for which the agent chose no teacher.
    """

    split: str
    rows: tuple[Row, ...]
    none_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rows = {row.name: {"metrics": row.result.to_dict(), "chosen": row.share} for row in self.rows}
        return {"split": self.split, "rows": rows, "chosen_none": self.none_share}

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        head = f"{self.split:<{width}}     MRR  Hits@1  Hits@3  Hits@10  chosen"
        lines = [head, "-" * len(head)]
        for row in self.rows:
            hits = (row.result.hits_at(k) for k in (1, 3, 10))
            share = "" if row.share is None else f"{100 * row.share:5.1f} %"
            numbers = "  ".join(f"{value:6.4f}" for value in (row.result.mrr, *hits))
            lines.append(f"{row.name:<{width}}  {numbers}   {share}".rstrip())
        if self.none_share is not None:
            lines.append(f"no teacher chosen: {100 * self.none_share:.1f} % of the training facts")
        return "\n".join(lines)


def compare(trainer: DSoMTrainer, data: Data, split: str = "test") -> Comparison:
    """Evaluates everything that a trainer has trained.

    Args:
        trainer (DSoMTrainer): Trained; with :meth:`DSoMTrainer.fit_baseline` where the CE-only student is wanted.
        data (Data): A graph in the data contract.
        split (str): The split to rank. (default: :obj:`"test"`)

    Returns:
        Comparison: The table.

    Raises:
        ConfigError: If there is no trained student.
    """
    known = KnownAnswers.from_data(data)
    last = next((r for r in reversed(trainer.history) if r.get("phase") == "student"), {})
    shares = {name: float(value) for name, value in last.items() if name.startswith("select/")}
    rows = [
        Row(f"teacher: {name}", evaluate(teacher, data, split, known=known), shares.get(f"select/{name}"))
        for name, teacher in trainer.teachers.items()
    ]
    if trainer.baseline is not None:
        rows.append(Row(BASELINE, evaluate(trainer.baseline, data, split, known=known)))
    rows.append(Row(STUDENT, trainer.evaluate(data, split)))
    return Comparison(split, tuple(rows), shares.get("select/none"))
