"""What of a trainer is saved, and how it comes back; a student alone is a save without teachers, agent and history."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.nn import (
    GUIDES,
    EmbeddingScorer,
    Guide,
    GuidedScorer,
    Scorer,
    guide_from_config,
    make_guided_scorer,
    make_scorer,
)
from torch_geometric_dsom.sampler import POLICIES, TeacherSampler
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.fit import FitResult
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.dsom import DSoMTrainer

T = TypeVar("T")
Model = EmbeddingScorer | GuidedScorer | Guide
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
        "models": {name: _told(model) for name, model in models.items()},
        "agent": None if agent is None else agent.config(),
        **_names(vocabulary),
        "history": trainer.history,
        "results": {phase: [result.best_epoch, result.best_mrr] for phase, result in trainer.results.items()},
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
        trainer = cls(_typed(meta, "seed", int), DSoMConfig.from_dict(meta["config"]), device=device)
        trainer.vocabulary = vocabulary = _vocabulary(meta)
        trainer.history = _typed(meta, "history", list)
        trainer.results = {
            phase: FitResult(epoch, mrr, [record for record in trainer.history if record["phase"] == phase])
            for phase, (epoch, mrr) in meta.get("results", {}).items()
        }
        for name, config in meta["models"].items():
            model = _scorer(config, vocabulary, _under(tensors, name))
            model.to(trainer.device).eval()
            if name == STUDENT:
                trainer.student = _tables(name, model)
            elif name == "baseline":
                trainer.baseline = _tables(name, model)
            else:
                trainer.teachers[name.removeprefix("teacher/")] = model.requires_grad_(False)
        if meta["agent"] is not None:
            trainer.agent = _agent(meta["agent"], len(trainer.teachers), _under(tensors, "agent"))
    except DAMAGE as error:
        raise CheckpointError(f"{directory}: not a readable save: {error}") from error
    return trainer


def save_student(
    directory: str | os.PathLike[str],
    scorer: Scorer | GuidedScorer,
    vocabulary: Vocabulary,
    config: DSoMConfig | None,
) -> None:
    """Writes a student alone, in the format of :func:`save`.

    Raises:
        CheckpointError: If the scorer is of a class that cannot be saved, or the directory cannot be written.
    """
    model = plain(STUDENT, scorer)
    meta = {
        "seed": 0,
        "config": {} if config is None else config.to_dict(),
        "models": {STUDENT: _told(model)},
        "agent": None,
        **_names(vocabulary),
        "history": [],
    }
    save_directory(directory, meta, {f"{STUDENT}.{key}": value for key, value in model.state_dict().items()})


def load_student(
    directory: str | os.PathLike[str],
) -> tuple[EmbeddingScorer | GuidedScorer, Vocabulary, DSoMConfig | None]:
    """Reads the student of what :func:`save_student` or :func:`save` wrote, and nothing else of it.

    Raises:
        CheckpointError: If the directory is missing, damaged or foreign.
    """
    meta, tensors = load_directory(directory)
    try:
        config = DSoMConfig.from_dict(meta["config"]) if meta["config"] != {} else None
        vocabulary = _vocabulary(meta)
        scorer = _scorer(meta["models"][STUDENT], vocabulary, _under(tensors, STUDENT))
        scorer = scorer if isinstance(scorer, GuidedScorer) else _tables(STUDENT, scorer)
    except DAMAGE as error:
        raise CheckpointError(f"{directory}: not a readable save: {error}") from error
    return scorer, vocabulary, config


def plain(name: str, part: object) -> Model:
    """A part as something that can be named and built again: tables with an interaction, a guide, or both."""
    from torch_geometric_dsom.trainer.student import Student  # which saves itself by this module

    if isinstance(part, Student):
        part = part.scorer
    if isinstance(part, GuidedScorer) or (isinstance(part, Guide) and GUIDES.get(part.name) is type(part)):
        return part
    if isinstance(part, Scorer):
        plain = part if isinstance(part, EmbeddingScorer) else part.freeze()
        with contextlib.suppress(ConfigError):
            make_scorer(plain.config())
            return plain
    name = name.replace("/", "s['") + "']" if "/" in name else name
    raise CheckpointError(f"{name}: cannot save a {type(part).__name__}; save it yourself and pass it again")


def _told(model: Model) -> dict[str, Any]:
    """What a part is built from, with the name of what it is where it is not tables."""
    return {"name": model.name, **model.config()} if isinstance(model, Guide) else model.config()


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


def _scorer(told: Mapping[str, Any], vocabulary: Vocabulary, tensors: dict[str, Tensor]) -> Model:
    """A scorer of saved tables; sizes are compared before there is memory for them."""
    sizes = len(vocabulary.entity_ids), len(vocabulary.relation_ids)
    if (told["num_entities"], told["num_relations"]) != sizes:
        raise ValueError(
            f"expected {told['num_entities']!r} entities and {told['num_relations']!r} relations with names, "
            f"got {sizes[0]} and {sizes[1]}"
        )
    makers: dict[str, Callable[[Mapping[str, Any]], Model]] = dict.fromkeys(GUIDES, guide_from_config)
    make = {**makers, GuidedScorer.name: make_guided_scorer}.get(told.get("name", ""), make_scorer)
    with torch.device("meta"):
        empty = make(told).state_dict()
    for name, value in empty.items():
        _compare(name, tensors[name], value.shape)
    scorer = make(told)
    scorer.load_state_dict(tensors)
    return scorer


def _tables(name: str, model: Model) -> EmbeddingScorer:
    """A model that only teachers may be more than."""
    if not isinstance(model, EmbeddingScorer):
        hint = "; Student.load reads it" if isinstance(model, GuidedScorer) else ""
        raise TypeError(f"{name}: expected plain tables, got a {type(model).__name__}{hint}")
    return model


def _agent(told: Mapping[str, Any], num_teachers: int, tensors: dict[str, Tensor]) -> TeacherSampler:
    """A saved agent; sizes are compared before there is memory for them."""
    if told["num_teachers"] != num_teachers:
        raise ValueError(f"agent: expected {num_teachers} teachers, got {told['num_teachers']!r}")
    extra = _under(tensors, EXTRA)
    values = {name: value for name, value in tensors.items() if not name.startswith(EXTRA)}
    width, logits = told["state_dim"], POLICIES[told["policy"]](num_teachers).num_logits
    if told["hidden_dim"]:
        width = told["hidden_dim"]
        _compare("agent.body", values["body.weight"], (width, told["state_dim"]))
    _compare("agent.head", values["head.weight"], (logits, width))
    agent = TeacherSampler(**told)
    agent.load_state_dict({**values, EXTRA: extra})
    return agent


def _compare(name: str, value: Tensor, shape: Sequence[int]) -> None:
    """Refuses a tensor of another shape than the save tells."""
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name}: expected {list(shape)}, got {list(value.shape)}")


def _typed(meta: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = meta[name]
    if type(value) is not kind:
        raise TypeError(f"{name}: expected {kind.__name__}, got {value!r:.40}")
    return value


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
