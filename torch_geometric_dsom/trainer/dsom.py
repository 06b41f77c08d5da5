"""The trainer: it only wires teachers, agent, loss and student together."""

from __future__ import annotations

import copy
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, Vocabulary, split_triples
from torch_geometric_dsom.data.contract import violations
from torch_geometric_dsom.distributed import ALONE, join
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import RankingResult, TailScorer, evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import SCORERS, EmbeddingScorer, PathScorer, Scorer, ShardedScorer
from torch_geometric_dsom.sampler import QuerySampler, RuleSampler, TeacherSampler, random_folds
from torch_geometric_dsom.trackers import Tracker, TrackerList
from torch_geometric_dsom.trainer import checkpoint
from torch_geometric_dsom.trainer.available_memory import available_memory
from torch_geometric_dsom.trainer.config import DSoMConfig, update
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.deal import DISTRIBUTED, deal, fuse, make_team
from torch_geometric_dsom.trainer.experts import FUSED, expert_fit, make_experts
from torch_geometric_dsom.trainer.fit import FitResult, Objective, Record
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.guides import calibrated, guide_weights, guided
from torch_geometric_dsom.trainer.kept_run import KeptRun
from torch_geometric_dsom.trainer.memory_estimate import MemoryEstimate, estimate_memory
from torch_geometric_dsom.trainer.objective import DistillationObjective
from torch_geometric_dsom.trainer.paths import PATHS, PathObjective, check_fit
from torch_geometric_dsom.trainer.predict import Prediction, predict
from torch_geometric_dsom.trainer.run_directory import RunDirectory
from torch_geometric_dsom.trainer.selection import SelectionShares, selection_shares
from torch_geometric_dsom.trainer.sharded_ensemble import ShardedEnsemble
from torch_geometric_dsom.trainer.sharded_objective import ShardedCrossEntropyObjective
from torch_geometric_dsom.trainer.student import Student
from torch_geometric_dsom.trainer.team import Team
from torch_geometric_dsom.trainer.wiring import (
    make_agent,
    make_cache,
    make_candidates,
    make_ensemble,
    make_objective,
    make_state,
)


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
        student (nn.Module, optional): The student to train instead of a new one: a scorer of
            :mod:`torch_geometric_dsom.nn`, or anything with ``score_tails(head, rel)`` such as another library's model
            in an adapter. It must see entities and relations alone.
        teachers (dict, optional): Trained teachers by name, each with ``score_tails(head, rel)``; they are frozen and
            used instead of new ones. A teacher named after a modality is asked only where the entity has it.
        agent (TeacherSampler or RuleSampler, optional): Picks the sets, instead of a new one.
        loss (nn.Module, optional): Any distillation loss of :mod:`torch_geometric_dsom.loss`, instead of the decoupled
            one with the weights and the temperature of the configuration.
        device (torch.device, optional): Where to train; a GPU if there is one and :obj:`None` is given.
        progress (bool, optional): Whether to show progress bars; :obj:`None` shows them on a terminal.
        trackers (list[Tracker]): Where the numbers of each epoch go, such as
            :class:`~torch_geometric_dsom.trackers.CSVTracker`, or any of PyKEEN's result trackers. (default: none)
        distributed (str): How the processes that ``torchrun`` started share the run: ``"data"``, each has a part of
            every batch; ``"entity"``, each has a part of the entities, so that their tables may be larger than one
            memory; ``"auto"``, the latter where there are many entities and nothing stands against it; ``"none"``, they
            have nothing to do with one another. All of them have to make the same calls; the first one alone writes
            and shows. One process does all of it. (default: :obj:`"auto"`)
        checkpoint_dir (path, optional): Folder that the run is kept in: the state of each phase every few epochs and
            when SIGTERM or Ctrl-C asks to end, and the result of each finished one. Nothing is kept if :obj:`None`.
        resume (bool): Whether to go on with the run in :obj:`checkpoint_dir`, where there is one: finished phases are
            read, the one that was cut off goes on at its last checkpoint and, on CPU, ends with the same bits as a run
            that never stopped. (default: :obj:`False`, a run that is there already is an error)
        checkpoint_every (int): Epochs between two checkpoints. (default: :obj:`1`)
        keep_checkpoints (int): How many of them are kept of a phase; where the last is damaged, the one before it
            counts. (default: :obj:`2`)
        memory_bytes (int, optional): Memory that the run may take beside what is taken already; what is left, see
            :func:`~torch_geometric_dsom.trainer.available_memory`, if :obj:`None`. A run that is estimated to need
            more does not begin.
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
        student: TailScorer | None = None,
        teachers: Mapping[str, TailScorer] | None = None,
        agent: TeacherSampler | RuleSampler | None = None,
        loss: nn.Module | None = None,
        device: torch.device | str | None = None,
        progress: bool | None = None,
        trackers: Sequence[Tracker] = (),
        distributed: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: int = 1,
        keep_checkpoints: int = 2,
        memory_bytes: int | None = None,
        **options: Any,
    ) -> None:
        if distributed not in DISTRIBUTED:
            raise ConfigError(f"distributed: expected one of {list(DISTRIBUTED)}, got '{distributed}'")
        self.distributed = distributed
        self.world = ALONE if distributed == "none" else join()
        self.team = Team(self.world)
        self.seed = seed
        self.config = update(config if config is not None else DSoMConfig(), options)
        self.student = student
        self.teachers: dict[str, TailScorer] = dict(teachers) if teachers is not None else {}
        self.fold_teachers: list[dict[str, TailScorer]] = []
        self.baseline: Scorer | None = None
        self.agent = agent
        self.loss = loss if loss is not None else self._default_loss()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.progress = progress
        self.trackers = TrackerList(trackers if self.world.is_first else ())
        self.kept = KeptRun(self.world)
        self.kept.set(checkpoint_dir, resume, checkpoint_every, keep_checkpoints)
        self.memory_bytes = memory_bytes
        self.history: list[Record] = []
        self.results: dict[str, FitResult] = {}
        self.vocabulary: Vocabulary | None = None

    def fit(
        self,
        data: Data,
        epochs: int | None = None,
        on_epoch: Callable[[Record], None] | None = None,
        *,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume: bool | None = None,
        checkpoint_every: int | None = None,
        keep_checkpoints: int | None = None,
    ) -> DSoMTrainer:
        """Trains teachers where none were given, then the student.

        Args:
            data (Data): A graph in the data contract; its test facts are not read.
            epochs (int, optional): Epochs of the student at most; that of the configuration if :obj:`None`.
            on_epoch (callable, optional): Called with the record of each epoch of every phase that is run.
            checkpoint_dir (path, optional): As the three that follow, instead of that of the trainer, from now on.
            resume (bool, optional): See :class:`DSoMTrainer`.
            checkpoint_every (int, optional): See :class:`DSoMTrainer`.
            keep_checkpoints (int, optional): See :class:`DSoMTrainer`.

        Returns:
            DSoMTrainer: Itself.

        Raises:
            DataError: If the graph does not keep the data contract.
            NonFiniteError: If a loss or a gradient becomes NaN or infinite.
            CheckpointError: If :obj:`checkpoint_dir` cannot be used or written.
            MemoryBudgetError: If there is not enough memory; tells it before any is taken.
        """
        self.kept.set(checkpoint_dir, resume, checkpoint_every, keep_checkpoints)
        self._check(data, "teachers", "student")
        with self._kept(data):
            if not self.teachers:
                self.fit_teachers(data, on_epoch)
            self.fit_student(data, epochs, on_epoch)
        return self

    def fit_teachers(self, data: Data, on_epoch: Callable[[Record], None] | None = None) -> dict[str, TailScorer]:
        """Trains the experts of structure and of each modality, freezes them and adds the fused one."""
        self._check(data, "teachers")
        with self._kept(data):
            self.teachers = self._train_experts(data, "", on_epoch)
        return self.teachers

    def fit_fold_teachers(
        self, data: Data, on_epoch: Callable[[Record], None] | None = None
    ) -> list[dict[str, TailScorer]]:
        """Trains the same experts once for each fold of the training facts, on all facts but the fold's.

        Which fact is of which fold depends on the seed and the facts alone.

        Raises:
            ConfigError: If the configuration does not say over how many folds, see :obj:`crossfit`.
        """
        self._check(data, "teachers")
        folds = self._folds(data)
        if folds is None:
            raise ConfigError("crossfit: expected at least 2 folds to train teachers for, got 0")
        self.fold_teachers = []
        with self._kept(data):
            for fold in range(self.config.crossfit):
                part = copy.copy(data)
                part.edge_index, part.edge_type = data.edge_index[:, folds != fold], data.edge_type[folds != fold]
                self.fold_teachers.append(self._train_experts(part, f"fold{fold}/", on_epoch))
        return self.fold_teachers

    def fit_paths(self, data: Data, on_epoch: Callable[[Record], None] | None = None) -> PathScorer:
        """Trains the guide of paths alone, with the options that begin with ``path``, and freezes it.

        :meth:`fit_teachers` does so where :obj:`path_weight` is positive. A finished student may be asked together with
        it as well, see :func:`~torch_geometric_dsom.trainer.fit_guides`.
        """
        self._check(data, "paths")
        with self._kept(data):
            return self._train_paths(data, "", on_epoch)

    def _train_paths(self, data: Data, prefix: str, on_epoch: Callable[[Record], None] | None) -> PathScorer:
        config, phase = check_fit(self.config.path_fit), f"{prefix}teacher/{PATHS}"
        guide = PathScorer.from_data(
            data,
            self.config.path_dim,
            self.config.path_layers,
            max_degree=self.config.path_max_degree,
            generator=self._generator(prefix + PATHS),
        ).to(self.device)
        objective = PathObjective(guide, data, generator=self._generator(f"{phase}/kept"))
        self._fit(guide, data, objective, config, phase, on_epoch, self._sampler(data, config, phase))
        return guide.eval().requires_grad_(False)

    def _train_experts(
        self, data: Data, prefix: str, on_epoch: Callable[[Record], None] | None
    ) -> dict[str, TailScorer]:
        experts = make_experts(data, self.config, lambda name: self._generator(prefix + name))
        for name in experts:
            expert = experts[name] = deal(experts[name], self.team)
            config = expert_fit(self.config, name)
            phase = f"{prefix}teacher/{name}"
            objective = self._cross_entropy(data, expert.to(self.device), config, phase)
            self._fit(expert, data, objective, config, phase, on_epoch, self._sampler(data, config, phase))
        teachers: dict[str, TailScorer] = {name: expert.freeze() for name, expert in experts.items()}
        weights = guide_weights(self.config)
        if len(experts) > 1 or any(weights.values()):
            trained = {PATHS: self._train_paths(data, prefix, on_epoch)} if weights[PATHS] > 0 else {}
            fused = guided(fuse(list(experts.values())), data, weights, trained)
            teachers[FUSED] = calibrated(fused, data) if self.config.calibrate else fused
        return teachers

    def fit_student(
        self, data: Data, epochs: int | None = None, on_epoch: Callable[[Record], None] | None = None
    ) -> TailScorer:
        """Distils the teachers into the student."""
        self._check(data, "student")
        if not self.teachers:
            raise ConfigError("teachers: expected at least one, got none; call fit or fit_teachers")
        config = self._student_config(epochs)
        with self._kept(data) as run:
            if self.student is None:
                self.student = self._new_student(data, "student")
            if isinstance(self.student, Scorer):
                self.student = deal(self.student, self.team)
            _to(self.student, self.device)
            train = run is None or run.finished("student") is None
            objective = self._objective(data, self.student, config, on_epoch, train)
            self._fit(self.student, data, objective, config, "student", on_epoch, objective.sampler)
        self.vocabulary = Vocabulary.from_data(data)
        return self.student

    def fit_baseline(
        self, data: Data, epochs: int | None = None, on_epoch: Callable[[Record], None] | None = None
    ) -> Scorer:
        """Trains the CE-only student that every claim is measured against: all the same but for the teachers.

        It starts from the student's initial weights and sees its batches in the student's order.
        """
        self._check(data, "baseline")
        self.baseline = deal(self._new_student(data, "student"), self.team).to(self.device)
        config = self._student_config(epochs)
        objective = self._cross_entropy(data, self.baseline, config, "ce_only")
        sampler = self._sampler(data, config, "student")
        with self._kept(data):
            self._fit(self.baseline, data, objective, config, "ce_only", on_epoch, sampler)
        return self.baseline

    def evaluate(self, data: Data, split: str = "test", batch_size: int | None = None) -> RankingResult:
        """Ranks the facts of a split with the student, filtered, in both directions.

        See :func:`torch_geometric_dsom.evaluation.evaluate`.
        """
        return evaluate(self._trained(), data, split=split, batch_size=batch_size, world=self.world)

    def selection(self, data: Data, split: str = "val") -> SelectionShares:
        """Which teachers the agent chooses for the facts of a split, by relation.

        Args:
            data (Data): A graph in the data contract.
            split (str): The split whose facts to ask about. (default: :obj:`"val"`)

        Returns:
            SelectionShares: With a table, plain values and a plot.

        Raises:
            ConfigError: If the trainer is not trained, or the split has no facts.
        """
        facts = split_triples(data, split)
        if facts.size(0) == 0:
            raise ConfigError(f"split: expected one with facts, got '{split}'")
        return selection_shares(self.objective(data), facts, Vocabulary.from_data(data).relation_names)

    def objective(self, data: Data) -> DistillationObjective:
        """The student's objective, to ask what the agent would choose; nobody learns from it.

        Args:
            data (Data): A graph in the data contract.

        Raises:
            ConfigError: If the trainer is not trained.
        """
        return self._objective(data, self._trained(), self.config.student_fit, train=False)

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

    def export_student(self) -> Student:
        """The student alone, with its names and the configuration: small on disk, and enough to predict.

        Returns:
            Student: A copy, frozen.

        Raises:
            ConfigError: If the trainer is not trained, or its student is no scorer of :mod:`torch_geometric_dsom.nn`.
        """
        student = self._whole()._trained()
        assert self.vocabulary is not None
        if not isinstance(student, Scorer):
            raise ConfigError(f"student: expected a scorer of torch_geometric_dsom.nn, got {type(student).__name__}")
        return Student(student, self.vocabulary, self.config)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes student, teachers, agent, configuration, labels and history: a whole directory or nothing.

        Raises:
            CheckpointError: If a part is of a class that cannot be saved, or the directory cannot be written.
        """
        whole = self._whole()
        if self.world.is_first:
            checkpoint.save(whole, directory)
        self.world.barrier()

    @classmethod
    def load(cls, directory: str | os.PathLike[str], device: torch.device | str | None = None) -> DSoMTrainer:
        """Reads what :meth:`save` wrote; no feature and no dataset is needed to predict with it.

        Raises:
            CheckpointError: If the directory is missing, damaged or foreign.
        """
        return checkpoint.load(cls, directory, device)

    def __repr__(self) -> str:
        state = "not trained" if self.vocabulary is None else "trained"
        return (
            f"{type(self).__name__}(seed={self.seed}, rank={self.config.rank}, {state}, teachers={list(self.teachers)})"
        )

    def _fit(
        self,
        model: TailScorer,
        data: Data,
        objective: Objective,
        config: FitConfig,
        phase: str,
        on_epoch: Callable[[Record], None] | None,
        sampler: QuerySampler,
    ) -> None:
        assert isinstance(model, torch.nn.Module)
        before = len(self.history)

        def report(record: Record) -> None:
            self.trackers.log(record, step=before + int(record["epoch"]))
            if on_epoch is not None:
                on_epoch(record)

        result = self.kept.fit(model, data, sampler, objective, config, phase, self.progress, report, team=self.team)
        if self.kept.is_open:
            self.history = [record for record in self.history if record.get("phase") != phase]  # a phase is there once
        self.results[phase] = result
        self.history.extend(result.history)

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """Everything inside is one run to the trackers, which otherwise start and end with each call of a ``fit``.

        Example:
            >>> with DSoMTrainer(seed=0).tracked():
            ...     pass  # trainer.fit(data), then trainer.fit_baseline(data)
        """
        params = {"seed": self.seed, **self.config.to_dict()}
        with self.trackers.run(f"{type(self).__name__.lower()}-seed{self.seed}", params):
            yield

    @contextmanager
    def _kept(self, data: Data) -> Iterator[RunDirectory | None]:
        """The directory that the run is kept in, ours alone for a while; nothing where none was given."""
        parts = {"student": self.student, "agent": self.agent, "loss": self.loss, **self.teachers}
        with self.kept.opened(self.seed, self.config, data, parts) as run, self.tracked():
            yield run

    def _cross_entropy(self, data: Data, model: Scorer, config: FitConfig, phase: str) -> CrossEntropyObjective:
        candidates = make_candidates(self.config, data, self._generator(f"{phase}/candidates"), self.team)
        kind = ShardedCrossEntropyObjective if isinstance(model, ShardedScorer) else CrossEntropyObjective
        return kind.from_config(model, config, candidates, self.team.batches)

    def _objective(
        self,
        data: Data,
        student: TailScorer,
        config: FitConfig,
        on_epoch: Callable[[Record], None] | None = None,
        train: bool = True,
    ) -> DistillationObjective:
        folds = self._folds(data) if train else None
        if folds is not None and len(self.fold_teachers) != self.config.crossfit:
            self.fit_fold_teachers(data, on_epoch)
        fold_teachers = self.fold_teachers if folds is not None else []
        ensemble = make_ensemble(self.config, data, self.teachers, fold_teachers, self.device, self.team)
        state = make_state(data, list(self.teachers), student, self.config.agent_query)
        if self.agent is None:
            self.agent = make_agent(self.config, data, ensemble, state, self._generator("agent"))
        sampler = self._sampler(data, config, "student", folds)
        if train and isinstance(ensemble, ShardedEnsemble):
            facts, fold = sampler.facts, sampler.fold if ensemble.fold_teachers else None
            ensemble.remember(ensemble.key(facts[:, 0], facts[:, 1], fold))
        elif train:
            ensemble.cache = make_cache(self.config, ensemble, sampler)
        parts = data, student, ensemble, self.agent, state, self.loss, sampler, self._generator
        return make_objective(self.config, *parts, train, self.team)

    def _sampler(self, data: Data, config: FitConfig, name: str, folds: Tensor | None = None) -> QuerySampler:
        return QuerySampler(
            data,
            batch_size=config.batch_size,
            max_facts=config.max_facts,
            folds=folds,
            generator=self._generator(f"{name}/batches"),
            share=self.team.share,
        )

    def _folds(self, data: Data) -> Tensor | None:
        """The fold of each training fact, where teachers are cross-fitted."""
        if self.config.crossfit == 0:
            return None
        return random_folds(data.edge_type.numel(), self.config.crossfit, self._generator("folds"))

    def _whole(self) -> DSoMTrainer:
        """The same trainer with its models brought together, where their entities are dealt out."""
        models = (self.student, self.baseline, *self.teachers.values())
        if not any(isinstance(model, ShardedScorer) for model in models):
            return self

        def gather(model: Any) -> Any:
            return model.whole() if isinstance(model, ShardedScorer) else model

        whole = copy.copy(self)
        whole.student, whole.baseline = gather(self.student), gather(self.baseline)
        whole.teachers = {name: gather(teacher) for name, teacher in self.teachers.items()}
        return whole

    def estimate_memory(self, data: Data) -> MemoryEstimate:
        """How much memory :meth:`fit` takes, by phase and part, see
        :func:`torch_geometric_dsom.trainer.estimate_memory`.

        Args:
            data (Data): A graph in the data contract.
        """
        return self._estimate(data, ("teachers", "student"))

    def _estimate(self, data: Data, parts: Sequence[str]) -> MemoryEstimate:
        return estimate_memory(data, self.config, self.teachers, self.kept.directory is not None, parts)

    def _check(self, data: Data, *parts: str) -> None:
        """Refuses a graph that breaks the contract or does not fit, before there is memory for anything of its size."""
        for error in violations(data):
            raise DataError(error)
        given = [model for model in (self.student, *self.teachers.values()) if model is not None]
        self.team = make_team(self.distributed, self.world, int(data.num_nodes), self.config, self.loss, given)
        available = available_memory(self.device) if self.memory_bytes is None else self.memory_bytes
        self._estimate(data, parts).check(self.team.memory_for(available, self.memory_bytes is None))
        if self.student is not None:
            names = ("num_entities", "num_relations")
            expected = tuple(getattr(self.student, name, None) for name in names)
            if None not in expected and (data.num_nodes, data.num_relations) != expected:
                raise DataError(
                    f"data: the student knows {expected[0]} entities and {expected[1]} relations, "
                    f"got {data.num_nodes} and {data.num_relations}"
                )

    def _trained(self) -> TailScorer:
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

    def _student_config(self, epochs: int | None) -> FitConfig:
        config = self.config.student_fit
        return config if epochs is None else update(self.config, {"student_fit": {"epochs": epochs}}).student_fit

    def _default_loss(self) -> NeighborDecoupledKDLoss:
        return NeighborDecoupledKDLoss(
            self.config.alpha, self.config.beta, self.config.temperature, omega=self.config.omega
        )

    def _generator(self, name: str) -> torch.Generator:
        """A generator of its own for each part, so that adding one part does not shift the others."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{name}".encode()))


def _to(model: TailScorer, device: torch.device) -> None:
    if isinstance(model, torch.nn.Module):
        model.to(device)
