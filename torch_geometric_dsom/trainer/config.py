"""All numbers of a run in one place, checked when they are given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from torch_geometric_dsom.data.neighbor_index import KINDS
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import SCORERS
from torch_geometric_dsom.sampler import POLICIES
from torch_geometric_dsom.sampler.teacher_sampler import BASELINES, CREDITS, GRADIENTS
from torch_geometric_dsom.sampler.unlabelled import KINDS as UNLABELLED
from torch_geometric_dsom.trainer.fit_config import AUTO, DTYPES, PATH_FIT, FitConfig

SELECTIONS = ("reinforced", "all", "random", "best_per_relation", "confidence")
SINGLE = "single:"
NAMES = {
    "selection_per": ("fact", "query"),
    "policy": tuple(POLICIES),
    "gradient": GRADIENTS,
    "agent_baseline": BASELINES,
    "credit": CREDITS,
    "reward": ("rank", "margin", "influence", "lookahead"),
    "reward_facts": ("val", "train"),
    "unlabelled_selection": ("all", "agent"),
    "unlabelled_relations": UNLABELLED,
    "neighbors": KINDS,
    "scorer": tuple(SCORERS),
    "teacher_scorer": tuple(SCORERS),
    "teacher_dtype": (*DTYPES, AUTO),
    "cache": ("none", "memory", "mmap"),
    "candidates": ("all", "sampled", "topk"),
    "signals": ("all", "candidates"),
    "features": ("memory", "mapped"),
}


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
        distilled_n3 (float, optional): Weight of the student's N3 penalty where teachers teach it; that of
            :obj:`student_fit`, which CE-only and structural experts have, if :obj:`None`. Soft labels keep a student
            from knowing its facts by heart as well, so that it may want less of it.
        teacher_fit (FitConfig): How the modality experts are trained; the structure expert for as long, else as the
            student is.
        student_dropout (float): Dropout of the student, in :math:`[0, 1)`. (default: :obj:`0.0`)
        teacher_dropout (float): Dropout of the modality experts, in :math:`[0, 1)`. (default: :obj:`0.5`)
        teacher_hidden (int): Hidden width of the modality experts' projections. (default: :obj:`512`)
        structure_experts (int): How many structural experts there are, alike but for initial values and the order of
            batches. (default: :obj:`1`)
        modality_experts (bool): Whether there is an expert for each modality alone. (default: :obj:`True`)
        joint_expert (bool): Whether there is an expert with a free vector for every entity, as the student has, to
            which linear projections of all modalities are added; it is trained as the student is.
            (default: :obj:`False`)
        rule_weight (float): Weight of rules mined from paths of training facts in the fused teacher, see
            :class:`~torch_geometric_dsom.nn.GuidedScorer`; there is one then even where there is a single expert. None
            are mined if 0. (default: :obj:`0.0`)
        ridge_weight (float): Weight, in the fused teacher likewise, of what entities share with those that resemble
            them, see :class:`~torch_geometric_dsom.nn.RidgeScorer`; takes four bytes for each pair of entities. Not
            asked if 0. (default: :obj:`0.0`)
        frequency_weight (float): Weight, in the fused teacher likewise, of how often an entity answers a relation and
            which others it answers, see :class:`~torch_geometric_dsom.nn.FrequencyScorer`; takes a byte for each
            entity, relation and direction. (default: :obj:`0.0`)
        path_weight (float): Weight, in the fused teacher likewise, of what paths from the query entity to an answer
            tell a small graph neural network, see :class:`~torch_geometric_dsom.nn.PathScorer`; it is trained beside
            the experts. Not trained if 0. (default: :obj:`0.0`)
        path_dim (int): Width of its vectors. (default: :obj:`32`)
        path_layers (int): Steps of a path at most. (default: :obj:`3`)
        path_max_degree (int): Facts at most of an entity that paths lead through. (default: :obj:`200`)
        path_fit (FitConfig): How it is trained: with Adam, ``max_facts=1`` and ``batch_size=128``, so that each fact is
            left out of what its own query sees. (default: 8 epochs)
        calibrate (bool): Whether the fused teacher, where it listens to any of these, is given the temperature at which
            validation facts are likeliest: the weights add up, and make it too sure. Refused where it listens to none.
            (default: :obj:`False`)
        crossfit (int): Folds over which teachers are cross-fitted: each training fact is then labelled, and its reward
            given, by teachers that did not see it; 0 for none. Costs that many times the teachers' training.
            (default: :obj:`0`)
        selection (str): ``"reinforced"``: an agent picks the teachers of each fact; ``"all"``: all that are available,
            everywhere; ``"random"``: each with probability one half; ``"single:<name>"``: one teacher;
            ``"best_per_relation"``: for each relation the set that ranks its validation facts best;
            ``"confidence"``: all, weighted by their largest probability. (default: :obj:`"reinforced"`)
        selection_per (str): ``"fact"``: a set for each triple, as published; ``"query"``: one for all facts of a query
            in a batch. What the agent sees is the same, since its state holds no gold answer; only the draws are
            shared, which saves little time, because the loss is computed by query in either case.
            (default: :obj:`"fact"`)
        policy (str): ``"bernoulli"`` or ``"categorical"``, see :class:`~torch_geometric_dsom.sampler.TeacherSampler`.
            (default: :obj:`"bernoulli"`)
        gradient (str): ``"exact"``, the expectation over all subsets of the teachers, or ``"reinforce"``, from draws.
            (default: :obj:`"exact"`)
        agent_baseline (str): Of REINFORCE: ``"moving"``, ``"learned"`` or ``"none"``. (default: :obj:`"moving"`)
        credit (str): Of REINFORCE: ``"shared"`` or ``"counterfactual"``. (default: :obj:`"shared"`)
        agent_query (bool): Whether the agent sees the student's query vector, by which it may know the facts that it is
            rewarded on by heart; without, it tells queries apart by relation, degree and what teachers and student
            think of them. (default: :obj:`True`)
        agent_lr (float): Learning rate of the agent. (default: :obj:`0.003`)
        entropy_weight (float): Weight of the agent's entropy bonus. (default: :obj:`0.001`)
        neighbors (str): Kind of :class:`~torch_geometric_dsom.data.NeighborIndex`. (default: :obj:`"head"`)
        top_k (int): Size of the groups of :obj:`neighbors="topk"`. (default: :obj:`10`)
        alpha (float, optional): Weight of the neighbour term; with form B the teachers' mass of the neighbours if
            :obj:`None`. (default: :obj:`1.0`)
        beta (float, optional): Weight of the term of the rest; the teachers' mass of the rest if :obj:`None`, which
            with :math:`\alpha = 1` is plain distillation. (default: :obj:`1.0`)
        omega (float, optional): Weight of the groups' masses in form B of the loss; form A if :obj:`None`.
        temperature (float): Temperature :math:`\tau` of the soft labels. (default: :obj:`1.0`)
        gamma (float): Weight of the distillation. (default: :obj:`2.0`)
        warmup (int): Epochs over which :obj:`gamma` grows to its value. (default: :obj:`5`)
        unlabelled (float): Queries without a training fact to distil on as well, for each query of a batch; 0 for none.
            (default: :obj:`1.0`)
        unlabelled_selection (str): Which teachers those are distilled from: ``"all"`` that are available, or those
            that the agent picks, ``"agent"``. (default: :obj:`"agent"`)
        unlabelled_relations (str): Which relations are asked of an entity there: ``"frequent"``, any, as often as in
            training, or ``"alike"``, those of entities that resemble it. (default: :obj:`"alike"`)
        unlabelled_degree (float): Power of an entity's training facts, and one more, with which it is asked there: all
            alike if 0, about as often as in training if 1. (default: :obj:`0.0`)
        reward_facts (str): What the agent is rewarded on: ``"val"``, the validation facts, which no teacher was trained
            on, where there are any; or ``"train"``. (default: :obj:`"val"`)
        reward (str): ``"rank"``: gain in the reciprocal rank of the gold answer; ``"margin"``: gain in its
            log-probability; ``"influence"``: what a step towards the set gains in the cross-entropy of the same fact;
            ``"lookahead"``: what it gains on other facts, those that :obj:`reward_facts` names, while training facts
            are rewarded. (default: :obj:`"rank"`)
        positive_reward (bool): Whether a set that harms gets nothing, as in the published description, instead of a
            penalty. (default: :obj:`False`)
        teacher_dtype (str): In which the frozen teachers' products are computed: ``"float32"``, ``"bfloat16"``,
            or ``"auto"``: the latter where the device computes it in hardware, the former elsewhere.
            (default: :obj:`"float32"`)
        cache (str): Whether soft labels of training queries are kept from epoch to epoch instead of computed anew:
            ``"none"``, ``"memory"``, or ``"mmap"``, in a file of the folder for temporary ones; in half precision.
            (default: :obj:`"memory"`)
        cache_bytes (int): Room for them; queries beyond it are computed anew. (default: :obj:`1073741824`, 1 GiB)
        cache_top_k (int): How many probabilities of each distribution are kept, the rest spread evenly: many more
            queries in the same room, and an error that the records of the epochs tell, ``cache_error``; all if 0.
            (default: :obj:`0`)
        candidates (str): The entities in the softmax of a batch: ``"all"``, exact; ``"sampled"``: those that the batch
            names, query entities and gold answers among them, and others drawn to stand for the rest; ``"topk"``: also
            what the teachers find likely. For graphs of more than 100,000 entities; how far the loss is off, see
            :class:`~torch_geometric_dsom.sampler.Candidates`. Evaluation is exact always, soft labels of candidates are
            not cached, and where there are no teachers, ``"topk"`` is ``"sampled"``. (default: :obj:`"all"`)
        num_candidates (int): How many entities are drawn for each batch. (default: :obj:`8192`)
        candidate_top_k (int): How many of the answers that the teachers find likely are taken for each query with
            ``"topk"``. (default: :obj:`64`)
        signals (str): From which entities what the teachers think of training facts is told: ``"all"``, once for all
            facts before training; or ``"candidates"``, those of the batch, anew in each: an estimate, for graphs on
            which a pass over all facts and entities is too much. (default: :obj:`"all"`)
        features (str): ``"memory"``: modality experts keep their features, standardised; or ``"mapped"``: they stay
            where they are, such as in files mapped into memory, and with candidates only those of a batch are read.
            (default: :obj:`"memory"`)
        mask_absent (bool): Whether a teacher is kept from the agent where the query entity lacks its modality.
            (default: :obj:`True`)
        mask_self (bool): Whether soft labels leave out the query entity where its relation relates none to itself in
            training; an addition of ours. (default: :obj:`True`)

    Raises:
        ConfigError: If a value is out of range.
    """

    rank: int = 100
    scorer: str = "complex"
    teacher_scorer: str = "complex"
    student_fit: FitConfig = field(default_factory=lambda: FitConfig(epochs=24, optimizer="adagrad", lr=0.1, n3=0.05))
    distilled_n3: float | None = None
    teacher_fit: FitConfig = field(default_factory=lambda: FitConfig(batch_size=512, max_facts=1, lr=5e-3))
    student_dropout: float = 0.0
    teacher_dropout: float = 0.5
    teacher_hidden: int = 512
    structure_experts: int = 1
    modality_experts: bool = True
    joint_expert: bool = False
    rule_weight: float = 0.0
    ridge_weight: float = 0.0
    frequency_weight: float = 0.0
    path_weight: float = 0.0
    path_dim: int = 32
    path_layers: int = 3
    path_max_degree: int = 200
    path_fit: FitConfig = PATH_FIT
    calibrate: bool = False
    crossfit: int = 0
    selection: str = "reinforced"
    selection_per: str = "fact"
    policy: str = "bernoulli"
    gradient: str = "exact"
    agent_baseline: str = "moving"
    credit: str = "shared"
    agent_query: bool = True
    agent_lr: float = 3e-3
    entropy_weight: float = 1e-3
    neighbors: str = "head"
    top_k: int = 10
    alpha: float | None = 1.0
    beta: float | None = 1.0
    omega: float | None = None
    temperature: float = 1.0
    gamma: float = 2.0
    warmup: int = 5
    unlabelled: float = 1.0
    unlabelled_selection: str = "agent"
    unlabelled_relations: str = "alike"
    unlabelled_degree: float = 0.0
    reward_facts: str = "val"
    reward: str = "rank"
    positive_reward: bool = False
    teacher_dtype: str = "float32"
    cache: str = "memory"
    cache_bytes: int = 1 << 30
    cache_top_k: int = 0
    candidates: str = "all"
    num_candidates: int = 8192
    candidate_top_k: int = 64
    signals: str = "all"
    features: str = "memory"
    mask_absent: bool = True
    mask_self: bool = True

    def __post_init__(self) -> None:
        for name in (
            "rank",
            "structure_experts",
            "path_dim",
            "path_layers",
            "path_max_degree",
            "top_k",
            "num_candidates",
            "candidate_top_k",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("student_dropout", "teacher_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name}: expected a share in [0, 1), got {getattr(self, name)}")
        for name in ("alpha", "beta", "omega", "distilled_n3"):
            if getattr(self, name) is not None and not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected zero, a positive number or None, got {getattr(self, name)}")
        if self.alpha is None and self.omega is None:
            raise ConfigError("alpha: expected a number where omega is None, got None")
        for name in (
            "rule_weight",
            "ridge_weight",
            "frequency_weight",
            "path_weight",
            "gamma",
            "warmup",
            "unlabelled",
            "unlabelled_degree",
            "teacher_hidden",
            "entropy_weight",
            "cache_bytes",
            "cache_top_k",
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected zero or a positive number, got {getattr(self, name)}")
        for name in ("temperature", "agent_lr"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        guides = "rule_weight", "ridge_weight", "frequency_weight", "path_weight"
        if self.calibrate and not any(getattr(self, name) for name in guides):
            raise ConfigError(f"calibrate: expected False where each of {list(guides)} is 0, got True")
        if self.crossfit < 0 or self.crossfit == 1:
            raise ConfigError(f"crossfit: expected 0 or at least 2 folds, got {self.crossfit}")
        for name, known in NAMES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: expected one of {list(known)}, got '{getattr(self, name)}'")
        if self.selection not in SELECTIONS and not self.selection.startswith(SINGLE):
            expected = [*SELECTIONS, f"{SINGLE}<name>"]
            raise ConfigError(f"selection: expected one of {expected}, got '{self.selection}'")
        if self.signals == "candidates" and self.candidates != "sampled":
            raise ConfigError(f"signals: 'candidates' expects candidates='sampled', got '{self.candidates}'")
        if self.candidates != "all" and self.reward == "lookahead":
            raise ConfigError(f"candidates: expected 'all' with reward 'lookahead', got '{self.candidates}'")
        if self.credit == "counterfactual" and (self.policy, self.gradient) != ("bernoulli", "reinforce"):
            raise ConfigError(
                f"credit: 'counterfactual' expects bernoulli and reinforce, got {self.policy} and {self.gradient}"
            )
        if self.agent_baseline == "learned" and (self.gradient, self.credit) != ("reinforce", "shared"):
            raise ConfigError(
                f"agent_baseline: 'learned' expects reinforce and shared credit, got {self.gradient} and {self.credit}"
            )

    @property
    def structure_fit(self) -> FitConfig:
        """How structural and joint experts are trained: as the student is, for as long as the other experts are."""
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
