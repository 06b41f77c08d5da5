"""What of a trainer is saved, and how it comes back; a student alone is a save without teachers, agent and history."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.nn import EmbeddingScorer, Scorer, make_scorer
from torch_geometric_dsom.sampler import TeacherSampler
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.dsom import DSoMTrainer

EXTRA = "_extra_state"
STUDENT = "student"
NAMES = ("entity_ids", "entity_labels", "relation_ids", "relation_labels")
# What reading a save may raise where somebody else has written or changed it.
DAMAGE = (KeyError, TypeError, AttributeError, ValueError, IndexError, RuntimeError, OverflowError, MemoryError)


def save(trainer: DSoMTrainer, directory: str | os.PathLike[str]) -> None:
    """Writes student, teachers, agent, configuration, labels and history of a trainer.

    Raises:
        ConfigError: If the trainer is not trained.
        CheckpointError: If a part is of a class that cannot be saved, or the directory cannot be written.
    """
    vocabulary = trainer.vocabulary
    if trainer.student is None or vocabulary is None:
        raise ConfigError("student: not trained yet; call fit first")
    parts: dict[str, object] = {"student": trainer.student}
    if trainer.baseline is not None:
        parts["baseline"] = trainer.baseline
    parts |= {f"teacher/{name}": teacher for name, teacher in trainer.teachers.items()}
    models = {name: plain(name, part) for name, part in parts.items()}
    tensors = {f"{name}.{key}": value for name, model in models.items() for key, value in model.state_dict().items()}
    agent = trainer.agent if isinstance(trainer.agent, TeacherSampler) else None
    if agent is not None:
        values = agent.state_dict()
        values |= {f"{EXTRA}.{key}": value for key, value in values.pop(EXTRA).items()}
        tensors |= {f"agent.{key}": value for key, value in values.items()}
    meta = {
        "seed": trainer.seed,
        "config": trainer.config.to_dict(),
        "models": {name: model.config() for name, model in models.items()},
        "agent": None if agent is None else agent.config(),
        **_names(vocabulary),
        "history": trainer.history,
    }
    save_directory(directory, meta, tensors)


def load(
    cls: type[DSoMTrainer], directory: str | os.PathLike[str], device: torch.device | str | None = None
) -> DSoMTrainer:
    """Reads what :func:`save` wrote.

    Raises:
        CheckpointError: If the directory is missing, damaged or foreign.
    """
    meta, tensors = load_directory(directory)
    try:
        trainer = cls(meta["seed"], DSoMConfig.from_dict(meta["config"]), device=device)
        trainer.vocabulary = _vocabulary(meta)
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
            values = _under(tensors, "agent")
            extra = _under(values, EXTRA)
            trainer.agent.load_state_dict(
                {name: value for name, value in values.items() if not name.startswith(EXTRA)} | {EXTRA: extra}
            )
    except DAMAGE as error:
        raise CheckpointError(f"{directory}: not a readable save: {error}") from error
    return trainer


def save_student(
    directory: str | os.PathLike[str], scorer: Scorer, vocabulary: Vocabulary, config: DSoMConfig | None
) -> None:
    """Writes a student alone, in the format of :func:`save`.

    Raises:
        CheckpointError: If the scorer is of a class that cannot be saved, or the directory cannot be written.
    """
    model = plain(STUDENT, scorer)
    meta = {
        "seed": 0,
        "config": {} if config is None else config.to_dict(),
        "models": {STUDENT: model.config()},
        "agent": None,
        **_names(vocabulary),
        "history": [],
    }
    save_directory(directory, meta, {f"{STUDENT}.{key}": value for key, value in model.state_dict().items()})


def load_student(directory: str | os.PathLike[str]) -> tuple[EmbeddingScorer, Vocabulary, DSoMConfig | None]:
    """Reads the student of what :func:`save_student` or :func:`save` wrote, and nothing else of it.

    Raises:
        CheckpointError: If the directory is missing, damaged or foreign.
    """
    meta, tensors = load_directory(directory)
    try:
        config = DSoMConfig.from_dict(meta["config"]) if meta["config"] != {} else None
        vocabulary = _vocabulary(meta)
        sizes = len(vocabulary.entity_ids), len(vocabulary.relation_ids)
        told = meta["models"][STUDENT]
        if (told["num_entities"], told["num_relations"]) != sizes:
            raise ValueError(
                f"expected {told['num_entities']!r} entities and {told['num_relations']!r} relations with names, "
                f"got {sizes[0]} and {sizes[1]}"
            )
        scorer = make_scorer(told)
        scorer.load_state_dict(_under(tensors, STUDENT))
    except DAMAGE as error:
        raise CheckpointError(f"{directory}: not a readable save: {error}") from error
    return scorer, vocabulary, config


def plain(name: str, part: object) -> EmbeddingScorer:
    """A part as tables with an interaction that can be named and built again."""
    if isinstance(part, Scorer):
        plain = part if isinstance(part, EmbeddingScorer) else part.freeze()
        with contextlib.suppress(ConfigError):
            make_scorer(plain.config())
            return plain
    name = name.replace("/", "s['") + "']" if "/" in name else name
    raise CheckpointError(f"{name}: cannot save a {type(part).__name__}; save it yourself and pass it again")


def _names(vocabulary: Vocabulary) -> dict[str, list[str]]:
    return {name: list(getattr(vocabulary, name)) for name in NAMES}


def _vocabulary(meta: Mapping[str, Any]) -> Vocabulary:
    names = [meta[name] for name in NAMES]
    for name, values, ids in zip(NAMES, names, (names[0], names[0], names[2], names[2]), strict=True):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise TypeError(f"{name}: expected a list of strings")
        if len(values) != len(ids):
            raise ValueError(f"{name}: expected {len(ids)} of them, got {len(values)}")
    return Vocabulary(*names)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
