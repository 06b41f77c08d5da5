"""A trained student alone: what is shared, and what answers where there is no graph, no picture and no text."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, Vocabulary
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import RankingResult, evaluate
from torch_geometric_dsom.nn import EmbeddingScorer, Guide, GuidedScorer, Scorer
from torch_geometric_dsom.trainer import checkpoint
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.guides import UNTRAINED, WEIGHTS, fit_guides
from torch_geometric_dsom.trainer.predict import Prediction, predict


class Student(nn.Module):
    """A trained student with the names of its graph, and nothing else: no teachers, no features, no facts.

    It is a scorer as well: it may be a teacher of another trainer, or be ranked by
    :func:`~torch_geometric_dsom.evaluation.evaluate`. One that is asked together with guides, see :meth:`with_guides`,
    keeps what these were told of training facts.

    Args:
        scorer (Scorer or GuidedScorer): A trained scorer of entities and relations; its tables are copied and frozen,
            guides that it listens to are shared.
        vocabulary (Vocabulary): Ids and labels, in the order of its rows.
        config (DSoMConfig, optional): What it was trained with, to be kept beside it. (default: :obj:`None`)

    Raises:
        ConfigError: If the scorer is neither, or there are not as many names as rows.

    Example:
        >>> import tempfile
        >>> from torch_geometric_dsom import Student
        >>> from torch_geometric_dsom.data import Vocabulary
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> names = Vocabulary(["Q1", "Q2"], ["sun", "moon"], ["P1"], ["orbits"])
        >>> student = Student(ComplEx(num_entities=2, num_relations=1, rank=4), names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     student.save(folder)
        ...     answers = Student.load(folder).predict(head="moon", relation="orbits", k=2)
        >>> sorted(answer.label for answer in answers)
        ['moon', 'sun']
    """

    def __init__(self, scorer: Scorer | GuidedScorer, vocabulary: Vocabulary, config: DSoMConfig | None = None) -> None:
        super().__init__()
        if not isinstance(scorer, (Scorer, GuidedScorer)):
            raise ConfigError(f"scorer: expected a scorer of torch_geometric_dsom.nn, got {type(scorer).__name__}")
        for what, count in (("entity", scorer.num_entities), ("relation", scorer.num_relations)):
            for names in (f"{what}_ids", f"{what}_labels"):
                if len(getattr(vocabulary, names)) != count:
                    given = len(getattr(vocabulary, names))
                    raise ConfigError(f"vocabulary: expected {count} {names}, as the scorer has rows, got {given}")
        self.scorer: EmbeddingScorer | GuidedScorer = _frozen(scorer)
        self.vocabulary = vocabulary
        self.config = config
        self.eval()

    def forward(self, head: Tensor, relation: Tensor) -> Tensor:
        """Scores of all entities, see :meth:`score_tails`."""
        return self.scorer.score_tails(head, relation)

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        r"""Scores of candidate answers to :math:`(h, r, ?)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64; :math:`r + R` asks for heads.
            candidates (Tensor, optional): Entities to score, ``[C]``, int64; all of them if :obj:`None`.

        Returns:
            Tensor: ``[B, N]`` or ``[B, C]``.
        """
        return self.scorer.score_tails(head, rel, candidates)

    def predict(
        self,
        data: Data | None = None,
        head: str | int | None = None,
        relation: str | int | None = None,
        tail: str | int | None = None,
        k: int = 10,
        exclude_known: bool = True,
    ) -> list[Prediction]:
        """The best answers with their labels, see :func:`torch_geometric_dsom.trainer.predict`.

        Args:
            data (Data, optional): The graph whose training facts are known; without it nothing is left out or marked.
            head (str or int, optional): Id, label or row of the head; give this or :obj:`tail`.
            relation (str or int): Id, label or row of the relation.
            tail (str or int, optional): Id, label or row of the tail; give this or :obj:`head`.
            k (int): Number of answers at most. (default: :obj:`10`)
            exclude_known (bool): Whether known facts are left out instead of marked. (default: :obj:`True`)

        Returns:
            list[Prediction]: Best first.

        Raises:
            ConfigError: If a name is unknown, or not exactly one of head and tail is given.
            DataError: If the graph has other entities or relations than the student.
        """
        if data is not None:
            self.check(data)
        known = KnownAnswers.from_data(data, splits=("train",)) if data is not None else None
        return predict(self.scorer, self.vocabulary, head, relation, tail, k, known, exclude_known)

    def evaluate(self, data: Data, split: str = "test", batch_size: int | None = None) -> RankingResult:
        """Ranks the facts of a split, filtered, in both directions.

        Args:
            data (Data): A graph in the data contract; it needs no features.
            split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"test"`)
            batch_size (int, optional): Queries scored together.

        Returns:
            RankingResult: See :func:`torch_geometric_dsom.evaluation.evaluate`.

        Raises:
            DataError: If the graph has other entities or relations than the student, or no fact in the split.
        """
        self.check(data)
        return evaluate(self.scorer, data, split=split, batch_size=batch_size)

    @property
    def tables(self) -> EmbeddingScorer:
        """The tables of a student that listens to no guide.

        Raises:
            ConfigError: If it does: they are not all that it answers by.
        """
        if isinstance(self.scorer, GuidedScorer):
            guide = self.scorer.guide.name
            raise ConfigError(f"model: expected a student that is asked alone, got one that listens to '{guide}'")
        return self.scorer

    def with_guides(
        self,
        data: Data,
        weights: Sequence[float] = WEIGHTS,
        kinds: Sequence[str] | None = (),
        shrinkage: float = math.inf,
        guides: Sequence[str | Guide] = UNTRAINED,
    ) -> Student:
        """This student, asked together with guides such as rules and counts: another one, trained no further.

        By default the guides see structure alone, so that it needs no modality either.

        Args:
            data (Data): The graph, with validation facts, which choose the weights.
            weights (list[float]): As all that follow, see :func:`~torch_geometric_dsom.trainer.fit_guides`.
                (default: :obj:`(0.0, 0.25, 0.5, 1.0, 2.0, 3.0)`)
            kinds (list[str], optional): Which modalities the guides are told by as well. (default: :obj:`()`)
            shrinkage (float): With a finite one, weights are chosen for each relation. (default: :obj:`math.inf`)
            guides (list[str or Guide]): Which guides are tried. (default: all but ``"paths"``, which is trained)

        Raises:
            ConfigError: If it listens to guides already; else see :func:`~torch_geometric_dsom.trainer.fit_guides`.
            DataError: If the graph has other entities or relations; else see
                :func:`~torch_geometric_dsom.trainer.fit_guides`.

        Example:
            >>> from torch_geometric_dsom import Student
            >>> from torch_geometric_dsom.data import Vocabulary
            >>> from torch_geometric_dsom.datasets import FakeMMKG
            >>> from torch_geometric_dsom.nn import ComplEx
            >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
            >>> student = Student(ComplEx(60, 2, rank=4), Vocabulary.from_data(data))
            >>> student.with_guides(data, weights=[2.0], guides=["rules"]).scorer.weight
            2.0
        """
        self.check(data)
        return Student(fit_guides(self.tables, data, weights, kinds, shrinkage, guides), self.vocabulary, self.config)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes weights, names and configuration: a whole directory or nothing, JSON and safetensors, no pickle.

        After ``student.half()`` it takes half the room; it is read as float32 again.
        :meth:`torch_geometric_dsom.DSoMTrainer.load` reads it too, as a trainer without teachers.

        Args:
            directory (path): Where to write; may be missing, empty or an older save.

        Raises:
            CheckpointError: If the scoring function is of a class that cannot be saved, or the directory holds
                something else or cannot be written.
        """
        checkpoint.save_student(directory, self.scorer, self.vocabulary, self.config)

    @classmethod
    def load(cls, directory: str | os.PathLike[str], device: torch.device | str | None = None) -> Student:
        """Reads what :meth:`save` wrote, or the student alone of what
        :meth:`DSoMTrainer.save <torch_geometric_dsom.DSoMTrainer.save>` wrote.

        Args:
            directory (path): A saved directory.
            device (torch.device, optional): Where to put it; the CPU if :obj:`None`.

        Returns:
            Student: In evaluation mode, without gradients.

        Raises:
            CheckpointError: If the directory is missing, damaged or foreign.
        """
        student = cls(*checkpoint.load_student(directory))
        return student if device is None else student.to(device)

    def check(self, data: Data) -> None:
        """Refuses a graph of other entities or relations: rows are all that scores and facts have in common.

        Args:
            data (Data): A graph in the data contract.

        Raises:
            DataError: If the graph has others than the student; names the first one.
        """
        words = self.vocabulary
        for what, size, ids in (
            ("entity", int(data.num_nodes), words.entity_ids),
            ("relation", int(data.num_relations), words.relation_ids),
        ):
            if size != len(ids):
                raise DataError(f"data: the student knows {len(ids)} of kind {what}, got {size}")
            names = data.to_dict().get(f"{what}_ids", ids)
            for row, (mine, given) in enumerate(zip(ids, names, strict=False)):
                if mine != given:
                    raise DataError(f"data.{what}_ids[{row}]: the student knows '{mine}' there, got '{given}'")

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        words = self.vocabulary
        return f"entities={len(words.entity_ids)}, relations={len(words.relation_ids)}"


def _frozen(scorer: Scorer | GuidedScorer) -> EmbeddingScorer | GuidedScorer:
    """A copy of the tables, with the guides that they listen to."""
    if isinstance(scorer, Scorer):
        return scorer.freeze()
    return GuidedScorer(_frozen(scorer.scorer), scorer.guide, scorer.weight, scorer.temperature)


def as_student(model: object) -> Student:
    """A student as it is, or that of a trainer.

    Args:
        model (Student or DSoMTrainer): Anything with :obj:`export_student`.

    Raises:
        ConfigError: If it is something else, or not trained.

    Example:
        >>> as_student("Ada")
        Traceback (most recent call last):
        ...
        torch_geometric_dsom.errors.ConfigError: model: expected a Student or a DSoMTrainer, got str
    """
    if isinstance(model, Student):
        return model
    if not hasattr(model, "export_student"):
        raise ConfigError(f"model: expected a Student or a DSoMTrainer, got {type(model).__name__}")
    student: Student = model.export_student()
    return student
