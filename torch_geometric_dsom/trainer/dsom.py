"""The trainer: it only wires teachers, agent, loss and student together."""

from __future__ import annotations

import functools
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch_geometric.data import Data
from torch_geometric.utils import degree

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, Vocabulary, modalities, split_triples, validate
from torch_geometric_dsom.errors import CheckpointError, ConfigError, DataError
from torch_geometric_dsom.evaluation import RankingResult, TailScorer, evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import SCORERS, EmbeddingScorer, Scorer, make_scorer, product_of_experts
from torch_geometric_dsom.sampler import QuerySampler, SelectionState, StaticSampler, TeacherSampler, UnlabelledSampler
from torch_geometric_dsom.trainer.config import DSoMConfig, update
from torch_geometric_dsom.trainer.experts import FUSED, STRUCTURE, availability, make_experts
from torch_geometric_dsom.trainer.fit import FitConfig, FitResult, Record, fit_scorer
from torch_geometric_dsom.trainer.objective import CrossEntropyObjective, DistillationObjective, fact_signals
from torch_geometric_dsom.trainer.predict import Prediction, predict
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

HELD_OUT_BATCH = 64


class DSoMTrainer:
    r"""Trains a structure-only student with reinforced multimodal distillation.

    Implements the published description of `"Dark Side of Modalities: Reinforced Multimodal Distillation for
    Multimodal Knowledge Graph Reasoning" <https://arxiv.org/abs/2507.20738>`_: experts for structure, for each modality
    and a fused one are trained on the training facts and frozen; then the student is trained with

    .. math::
        \mathcal L = \mathrm{CE} + \gamma \, \mathrm{KD}_{a} + \lambda \, \mathrm{N3}

    where an agent picks the set :math:`a` of teachers for each fact and the distillation is decoupled into neighbours
    and the rest. Validation facts choose the epoch and reward the agent; they are no labels of the student. Test facts
    are only read by :meth:`evaluate`. At inference the student touches no feature.

    Args:
        seed (int): Seed of everything that is drawn; the global random state is left alone. (default: :obj:`0`)
        config (DSoMConfig, optional): All numbers of the run; defaults if :obj:`None`.
        student (EmbeddingScorer, optional): The student to train instead of a new one.
        teachers (dict, optional): Trained teachers by name, each with ``score_tails(head, rel)``; they are frozen and
            used instead of new ones. A teacher named after a modality is asked only where the entity has it.
        agent (TeacherSampler or StaticSampler, optional): Picks the sets, instead of a new one.
        loss (NeighborDecoupledKDLoss, optional): Its weights and temperature are used instead of those of the
            configuration.
        device (torch.device, optional): Where to train; a GPU if there is one and :obj:`None` is given.
        progress (bool, optional): Whether to show progress bars; :obj:`None` shows them on a terminal.
        **options: Values of :class:`DSoMConfig` by name, over those of :obj:`config`.

    Raises:
        ConfigError: If an option is unknown or out of range.

    Example:
        >>> from torch_geometric_dsom import DSoMTrainer
        >>> from torch_geometric_dsom.datasets import EmojiWorld
        >>> data = EmojiWorld()[0]
        >>> trainer = DSoMTrainer(seed=0, rank=4, teacher_hidden=4, teacher_fit={"epochs": 1}, progress=False)
        >>> trainer.fit(data, epochs=1)
        DSoMTrainer(seed=0, rank=4, trained, teachers=['structure', 'image', 'text', 'fused'])
        >>> trainer.evaluate(data, split="test").count  # both directions
        2228
    """

    def __init__(
        self,
        seed: int = 0,
        config: DSoMConfig | None = None,
        *,
        student: EmbeddingScorer | None = None,
        teachers: Mapping[str, TailScorer] | None = None,
        agent: TeacherSampler | StaticSampler | None = None,
        loss: NeighborDecoupledKDLoss | None = None,
        device: torch.device | str | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> None:
        self.seed = seed
        self.config = update(config if config is not None else DSoMConfig(), options)
        self.student = student
        self.teachers: dict[str, TailScorer] = dict(teachers) if teachers is not None else {}
        self.baseline: EmbeddingScorer | None = None
        self.agent = agent
        self.loss = loss if loss is not None else self._default_loss()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.progress = progress
        self.history: list[Record] = []
        self.results: dict[str, FitResult] = {}
        self.vocabulary: Vocabulary | None = None

    def fit(
        self, data: Data, epochs: int | None = None, on_epoch: Callable[[Record], None] | None = None
    ) -> DSoMTrainer:
        """Trains teachers where none were given, then the student.

        Args:
            data (Data): A graph in the data contract; its test facts are not read.
            epochs (int, optional): Epochs of the student at most; that of the configuration if :obj:`None`.
            on_epoch (callable, optional): Called with the record of each epoch of every phase.

        Returns:
            DSoMTrainer: Itself.

        Raises:
            DataError: If the graph does not keep the data contract.
            NonFiniteError: If a loss becomes NaN or infinite.
        """
        self._check(data)
        if not self.teachers:
            self.fit_teachers(data, on_epoch)
        self.fit_student(data, epochs, on_epoch)
        return self

    def fit_teachers(self, data: Data, on_epoch: Callable[[Record], None] | None = None) -> dict[str, TailScorer]:
        """Trains the experts of structure and of each modality, freezes them and adds the fused one."""
        self._check(data)
        experts = make_experts(data, self.config, self._generator)
        for name, expert in experts.items():
            config = self.config.structure_fit if name == STRUCTURE else self.config.teacher_fit
            objective = CrossEntropyObjective(expert.to(self.device), config.n3)
            self._fit(expert, data, objective, config, f"teacher/{name}", on_epoch)
        self.teachers = {name: expert.freeze() for name, expert in experts.items()}
        if len(experts) > 1:
            self.teachers[FUSED] = product_of_experts(list(experts.values()))
        return self.teachers

    def fit_student(
        self, data: Data, epochs: int | None = None, on_epoch: Callable[[Record], None] | None = None
    ) -> EmbeddingScorer:
        """Distils the teachers into the student."""
        self._check(data)
        if not self.teachers:
            raise ConfigError("teachers: expected at least one, got none; call fit or fit_teachers")
        if self.student is None:
            self.student = self._new_student(data, "student")
        self.student.to(self.device)
        teachers = {name: _freeze(teacher, self.device) for name, teacher in self.teachers.items()}
        available = availability(data, teachers).to(self.device)
        if not self.config.mask_absent:
            available = torch.ones_like(available)
        state = self._state(data, list(teachers))
        if self.agent is None:
            self.agent = self._new_agent(len(teachers), state.dim)
        config = self._student_config(epochs)
        groups = NeighborIndex(data, self.config.neighbors).to(self.device)
        facts = QuerySampler(data, batch_size=config.batch_size, shuffle=False)
        held_out = None
        if self.config.reward_facts == "val" and _has_validation(data):
            held_out = QuerySampler(
                split_triples(data, "val"),
                data.num_relations,
                batch_size=HELD_OUT_BATCH,
                max_facts=1,
                generator=self._generator("held_out"),
            )
        signals = functools.partial(
            fact_signals,
            list(teachers.values()),
            groups=groups,
            available=available,
            temperature=self.loss.temperature,
        )
        objective = DistillationObjective(
            self.student,
            list(teachers.values()),
            signals(facts),
            available,
            self.agent.to(self.device),
            state.to(self.device),
            groups,
            self.loss,
            gamma=self.config.gamma,
            warmup=self.config.warmup,
            positive=self.config.positive_reward,
            known=KnownAnswers.from_data(data, ("train", "val")) if self.config.reward == "rank" else None,
            held_out=None if held_out is None else (held_out, signals(held_out)),
            unlabelled=UnlabelledSampler(data, self._generator("unlabelled")) if self.config.unlabelled > 0 else None,
            unlabelled_share=self.config.unlabelled,
            unlabelled_agent=StaticSampler(len(teachers)).to(self.device)
            if self.config.unlabelled_selection == "all"
            else None,
            n3=self.config.student_fit.n3,
        )
        self._fit(self.student, data, objective, config, "student", on_epoch)
        self.vocabulary = Vocabulary.from_data(data)
        return self.student

    def fit_baseline(
        self, data: Data, epochs: int | None = None, on_epoch: Callable[[Record], None] | None = None
    ) -> EmbeddingScorer:
        """Trains the CE-only student that every claim is measured against: all the same but for the teachers.

        It starts from the student's initial weights and sees its batches in the student's order.
        """
        self._check(data)
        self.baseline = self._new_student(data, "student").to(self.device)
        objective = CrossEntropyObjective(self.baseline, self.config.student_fit.n3)
        self._fit(self.baseline, data, objective, self._student_config(epochs), "ce_only", on_epoch, order="student")
        return self.baseline

    def evaluate(self, data: Data, split: str = "test", batch_size: int | None = None) -> RankingResult:
        """Ranks the facts of a split with the student, filtered, in both directions.

        See :func:`torch_geometric_dsom.evaluation.evaluate`.
        """
        return evaluate(self._trained(), data, split=split, batch_size=batch_size)

    def predict(
        self,
        data: Data | None = None,
        head: str | int | None = None,
        relation: str | int | None = None,
        tail: str | int | None = None,
        k: int = 10,
        exclude_known: bool = True,
    ) -> list[Prediction]:
        """The student's best answers with their labels, see :func:`torch_geometric_dsom.trainer.predict`.

        Args:
            data (Data, optional): The graph whose training facts are known; without it nothing is left out or marked.
            head (str or int, optional): Id, label or row of the head; give this or :obj:`tail`.
            relation (str or int): Id, label or row of the relation.
            tail (str or int, optional): Id, label or row of the tail; give this or :obj:`head`.
            k (int): Number of answers at most. (default: :obj:`10`)
            exclude_known (bool): Whether known facts are left out instead of marked. (default: :obj:`True`)
        """
        student = self._trained()
        known = KnownAnswers.from_data(data, splits=("train",)) if data is not None else None
        assert self.vocabulary is not None
        return predict(student, self.vocabulary, head, relation, tail, k, known, exclude_known)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes student, teachers, agent, configuration, labels and history: a whole directory or nothing.

        Raises:
            CheckpointError: If a part is of a class that cannot be saved, or the directory cannot be written.
        """
        student = self._trained()
        assert self.vocabulary is not None
        models: dict[str, EmbeddingScorer] = {"student": student}
        if self.baseline is not None:
            models["baseline"] = self.baseline
        for name, teacher in self.teachers.items():
            if not isinstance(teacher, Scorer):
                raise CheckpointError(
                    f"teachers['{name}']: cannot save a {type(teacher).__name__}; save it yourself and pass it again"
                )
            models[f"teacher/{name}"] = teacher.freeze()
        tensors = {
            f"{name}.{key}": value for name, model in models.items() for key, value in model.state_dict().items()
        }
        if isinstance(self.agent, TeacherSampler):
            tensors |= {f"agent.{key}": value for key, value in self.agent.state_dict().items()}
        meta = {
            "seed": self.seed,
            "config": self.config.to_dict(),
            "models": {name: model.config() for name, model in models.items()},
            "agent": self.agent.config() if isinstance(self.agent, TeacherSampler) else None,
            "entity_ids": list(self.vocabulary.entity_ids),
            "entity_labels": list(self.vocabulary.entity_labels),
            "relation_ids": list(self.vocabulary.relation_ids),
            "relation_labels": list(self.vocabulary.relation_labels),
            "history": self.history,
        }
        save_directory(directory, meta, tensors)

    @classmethod
    def load(cls, directory: str | os.PathLike[str], device: torch.device | str | None = None) -> DSoMTrainer:
        """Reads what :meth:`save` wrote; no feature and no dataset is needed to predict with it.

        Raises:
            CheckpointError: If the directory is missing, damaged or foreign.
        """
        meta, tensors = load_directory(directory)
        try:
            trainer = cls(meta["seed"], DSoMConfig.from_dict(meta["config"]), device=device)
            names = (meta["entity_ids"], meta["entity_labels"], meta["relation_ids"], meta["relation_labels"])
            trainer.vocabulary = Vocabulary(*names)
            trainer.history = meta["history"]
            for name, config in meta["models"].items():
                model = make_scorer(config)
                model.load_state_dict(_under(tensors, name))
                model.to(trainer.device).eval()
                if name == "student":
                    trainer.student = model
                elif name == "baseline":
                    trainer.baseline = model
                else:
                    trainer.teachers[name.removeprefix("teacher/")] = model.requires_grad_(False)
            if meta["agent"] is not None:
                trainer.agent = TeacherSampler(**meta["agent"])
                trainer.agent.load_state_dict(_under(tensors, "agent"))
        except (KeyError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
            raise CheckpointError(f"{directory}: not a readable save: {error}") from error
        return trainer

    def __repr__(self) -> str:
        state = "not trained" if self.vocabulary is None else "trained"
        return (
            f"{type(self).__name__}(seed={self.seed}, rank={self.config.rank}, {state}, teachers={list(self.teachers)})"
        )

    def _fit(
        self,
        model: Scorer,
        data: Data,
        objective: CrossEntropyObjective,
        config: FitConfig,
        phase: str,
        on_epoch: Callable[[Record], None] | None,
        order: str | None = None,
    ) -> None:
        sampler = QuerySampler(
            data,
            batch_size=config.batch_size,
            max_facts=config.max_facts,
            generator=self._generator(f"{order or phase}/batches"),
        )
        known = KnownAnswers.from_data(data, splits=("train", "val"))

        def validate_mrr() -> float:
            return evaluate(model.freeze(), data, split="val", known=known).mrr

        check = validate_mrr if _has_validation(data) else None
        result = fit_scorer(model, sampler, objective, config, check, phase, self.progress, on_epoch)
        self.results[phase] = result
        self.history.extend(result.history)

    def _check(self, data: Data) -> None:
        validate(data)
        if self.student is not None:
            expected = (self.student.num_entities, self.student.num_relations)
            if (data.num_nodes, data.num_relations) != expected:
                raise DataError(
                    f"data: the student knows {expected[0]} entities and {expected[1]} relations, "
                    f"got {data.num_nodes} and {data.num_relations}"
                )

    def _trained(self) -> EmbeddingScorer:
        if self.student is None or self.vocabulary is None:
            raise ConfigError("student: not trained yet; call fit first")
        return self.student

    def _new_student(self, data: Data, name: str) -> EmbeddingScorer:
        return SCORERS[self.config.scorer](
            data.num_nodes,
            data.num_relations,
            self.config.rank,
            self.config.student_dropout,
            generator=self._generator(name),
        )

    def _new_agent(self, num_teachers: int, state_dim: int) -> TeacherSampler | StaticSampler:
        generator = self._generator("agent")
        if self.config.selection == "reinforced":
            return TeacherSampler(num_teachers, state_dim, generator=generator)
        return StaticSampler(num_teachers, prob=0.5 if self.config.selection == "random" else 1.0, generator=generator)

    def _student_config(self, epochs: int | None) -> FitConfig:
        config = self.config.student_fit
        return config if epochs is None else update(self.config, {"student_fit": {"epochs": epochs}}).student_fit

    def _state(self, data: Data, teachers: list[str]) -> SelectionState:
        names = modalities(data)
        presence = (
            torch.stack([data[f"{name}_mask"] for name in names], dim=-1) if names else torch.empty(data.num_nodes, 0)
        )
        assert self.student is not None
        degrees = degree(data.edge_index.flatten(), data.num_nodes)
        return SelectionState(teachers, presence, degrees, data.num_relations, self.student.interaction.query_dim)

    def _default_loss(self) -> NeighborDecoupledKDLoss:
        return NeighborDecoupledKDLoss(self.config.alpha, self.config.beta, self.config.temperature)

    def _generator(self, name: str) -> torch.Generator:
        """A generator of its own for each part, so that adding one part does not shift the others."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{name}".encode()))


def _has_validation(data: Data) -> bool:
    return split_triples(data, "val").size(0) > 0


def _freeze(teacher: TailScorer, device: torch.device) -> TailScorer:
    if isinstance(teacher, Scorer):
        return teacher.freeze().to(device)
    if isinstance(teacher, torch.nn.Module):
        teacher.to(device).eval().requires_grad_(False)
    return teacher


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
