"""All numbers of a run in one place, checked when they are given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from torch_geometric_dsom.data.neighbor_index import KINDS
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import SCORERS
from torch_geometric_dsom.trainer.fit import FitConfig

SELECTIONS = ("reinforced", "all", "random")
UNLABELLED_SELECTIONS = ("all", "agent")
REWARDS = ("margin", "rank")
REWARD_FACTS = ("val", "train")


@dataclass(frozen=True)
class DSoMConfig:
    r"""Configuration of :class:`~torch_geometric_dsom.DSoMTrainer`.

    The defaults were chosen by validation MRR on EmojiWorld, see ``benchmarks/RESULTS.md``.

    Args:
        rank (int): Dimensions of the student and of each expert, complex ones where the scorer is.
            (default: :obj:`100`)
        scorer (str): Scoring function of student and structure expert, see :obj:`torch_geometric_dsom.nn.SCORERS`.
            (default: :obj:`"complex"`)
        teacher_scorer (str): Scoring function of the modality experts. (default: :obj:`"complex"`)
        student_fit (FitConfig): How the student is trained, and the CE-only student.
        teacher_fit (FitConfig): How the modality experts are trained; the structure expert for as long, else as the
            student is.
        student_dropout (float): Dropout of the student, in :math:`[0, 1)`. (default: :obj:`0.0`)
        teacher_dropout (float): Dropout of the modality experts, in :math:`[0, 1)`. (default: :obj:`0.5`)
        teacher_hidden (int): Hidden width of the modality experts' projections. (default: :obj:`512`)
        selection (str): ``"reinforced"``: an agent picks the teachers of each fact; ``"all"``: all that are available,
            everywhere; ``"random"``: each with probability one half. (default: :obj:`"reinforced"`)
        neighbors (str): Kind of :class:`~torch_geometric_dsom.data.NeighborIndex`. (default: :obj:`"head"`)
        alpha (float): Weight of the neighbour term. (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; the teachers' mass of the rest if :obj:`None`, which
            with :math:`\alpha = 1` is plain distillation. (default: :obj:`1.0`)
        temperature (float): Temperature :math:`\tau` of the soft labels. (default: :obj:`1.0`)
        gamma (float): Weight of the distillation. (default: :obj:`2.0`)
        warmup (int): Epochs over which :obj:`gamma` grows to its value. (default: :obj:`5`)
        unlabelled (float): Queries without a training fact to distil on as well, for each query of a batch; 0 for none.
            (default: :obj:`1.0`)
        unlabelled_selection (str): Which teachers those are distilled from: ``"all"`` that are available, or those
            that the agent picks, ``"agent"``. (default: :obj:`"agent"`)
        reward_facts (str): What the agent is rewarded on: ``"val"``, the validation facts, which no teacher was trained
            on, where there are any; or ``"train"``. (default: :obj:`"val"`)
        reward (str): ``"rank"``: gain in the reciprocal rank of the gold answer, on held-out facts; ``"margin"``: gain
            in its log-probability. Training facts are always rewarded by margin. (default: :obj:`"rank"`)
        positive_reward (bool): Whether a set that harms gets nothing, as in the published description, instead of a
            penalty. (default: :obj:`False`)
        mask_absent (bool): Whether a teacher is kept from the agent where the query entity lacks its modality.
            (default: :obj:`True`)

    Raises:
        ConfigError: If a value is out of range.
    """

    rank: int = 100
    scorer: str = "complex"
    teacher_scorer: str = "complex"
    student_fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=24, optimizer="adagrad", lr=0.1, n3=0.05))
    teacher_fit: FitConfig = field(default_factory=lambda: FitConfig(batch_size=512, max_facts=1, lr=5e-3))
    student_dropout: float = 0.0
    teacher_dropout: float = 0.5
    teacher_hidden: int = 512
    selection: str = "reinforced"
    neighbors: str = "head"
    alpha: float = 1.0
    beta: float | None = 1.0
    temperature: float = 1.0
    gamma: float = 2.0
    warmup: int = 5
    unlabelled: float = 1.0
    unlabelled_selection: str = "agent"
    reward_facts: str = "val"
    reward: str = "rank"
    positive_reward: bool = False
    mask_absent: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank: expected a positive number, got {self.rank}")
        for name in ("scorer", "teacher_scorer"):
            if getattr(self, name) not in SCORERS:
                raise ConfigError(f"{name}: expected one of {list(SCORERS)}, got '{getattr(self, name)}'")
        for name in ("student_dropout", "teacher_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name}: expected a share in [0, 1), got {getattr(self, name)}")
        if self.beta is not None and not self.beta >= 0:
            raise ConfigError(f"beta: expected zero, a positive number or None, got {self.beta}")
        for name in ("alpha", "gamma", "warmup", "unlabelled", "teacher_hidden"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected zero or a positive number, got {getattr(self, name)}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature: expected a positive number, got {self.temperature}")
        if self.selection not in SELECTIONS:
            raise ConfigError(f"selection: expected one of {list(SELECTIONS)}, got '{self.selection}'")
        if self.unlabelled_selection not in UNLABELLED_SELECTIONS:
            expected = list(UNLABELLED_SELECTIONS)
            raise ConfigError(f"unlabelled_selection: expected one of {expected}, got '{self.unlabelled_selection}'")
        if self.reward not in REWARDS:
            raise ConfigError(f"reward: expected one of {list(REWARDS)}, got '{self.reward}'")
        if self.reward_facts not in REWARD_FACTS:
            raise ConfigError(f"reward_facts: expected one of {list(REWARD_FACTS)}, got '{self.reward_facts}'")
        if self.neighbors not in KINDS:
            raise ConfigError(f"neighbors: expected one of {list(KINDS)}, got '{self.neighbors}'")

    @property
    def structure_fit(self) -> FitConfig:
        """How the structure expert is trained: as the student is, for as long as the other experts are."""
        teacher = self.teacher_fit
        return replace(
            self.student_fit,
            epochs=teacher.epochs,
            evaluate_every=teacher.evaluate_every,
            patience=teacher.patience,
        )

    def to_dict(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> DSoMConfig:
        """Builds a configuration from plain values; what is not named keeps its default.

        Args:
            options (dict): Values by name; ``student_fit`` and ``teacher_fit`` may be dictionaries of
                :class:`FitConfig` values, of which the missing ones keep the defaults of this class.

        Raises:
            ConfigError: If a name is unknown or a value out of range.
        """
        return update(cls(), options)


def update(config: DSoMConfig, options: Mapping[str, Any]) -> DSoMConfig:
    """The configuration with some values replaced, nested ones likewise."""
    return _replace(config, options, "")  # type: ignore[no-any-return]


def _replace(config: Any, options: Mapping[str, Any], prefix: str) -> Any:
    values = {item.name: getattr(config, item.name) for item in fields(config)}
    types = get_type_hints(type(config))
    for name, value in options.items():
        if name not in values:
            close = difflib.get_close_matches(str(name), values, n=1)
            hint = f"; did you mean '{prefix}{close[0]}'?" if close else f"; known: {sorted(values)}"
            raise ConfigError(f"{prefix}{name}: unknown option{hint}")
        if isinstance(values[name], FitConfig) and isinstance(value, Mapping):
            values[name] = _replace(values[name], value, f"{prefix}{name}.")
            continue
        kinds = get_args(types[name]) or (types[name],)
        if float in kinds and type(value) is int:
            value = float(value)
        if type(value) not in kinds:
            expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ConfigError(f"{prefix}{name}: expected {expected}, got {type(value).__name__} {value!r}")
        values[name] = value
    return type(config)(**values)
