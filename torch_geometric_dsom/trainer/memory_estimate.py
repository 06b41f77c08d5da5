"""How much memory a run takes, told before any of it is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch_geometric.data import Data

from torch_geometric_dsom.data import PathIndex, modalities, split_triples
from torch_geometric_dsom.data.path_index import CHUNK, walk_sizes
from torch_geometric_dsom.errors import ConfigError, MemoryBudgetError
from torch_geometric_dsom.evaluation.scoring import SCORE_BYTES
from torch_geometric_dsom.nn import make_interaction, piece_rows, rows_within
from torch_geometric_dsom.nn.frequency_scorer import CHUNK as COUNTED
from torch_geometric_dsom.nn.frequency_scorer import CLASSES
from torch_geometric_dsom.nn.ridge_scorer import HUBS
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.ensemble import CACHED_BYTES
from torch_geometric_dsom.trainer.experts import FUSED, JOINT, STRUCTURE, expert_fit, expert_names
from torch_geometric_dsom.trainer.fit_config import FitConfig, product_dtype
from torch_geometric_dsom.trainer.paths import PATHS

FLOAT, DOUBLE = 4, 8
PATH = 8  # bytes of a path that rules hold for
MINING = 96  # bytes for each path that is looked at together
WALKED = 16  # bytes of a fact that messages walk along, and of how often an entity answers a relation
MESSAGE = 88  # bytes of a message
STATES = 15  # vectors of an entity that messages reach
COUNTING = 24  # bytes for each relation and entity that are counted together
PARTS = ("teachers", "student", "baseline", "paths")
LOWER = {  # which option makes a part smaller
    "models": "rank",
    "rules": "the number of facts, or set rule_weight=0",
    "ridge": "the number of entities, or set ridge_weight=0",
    "frequencies": "the number of entities or relations, or set frequency_weight=0",
    "paths": "path_fit.batch_size, path_layers or path_max_degree, or set path_weight=0",
    "features": "teacher_hidden, or take narrower features",
    "training": "rank",
    "workspace": "workspace_bytes or batch_size of student_fit and teacher_fit",
    "soft labels": "cache_bytes, or set cache='mmap' or cache_top_k",
    "signals": "the number of facts",
    "validation": "rank",
    "checkpoint": "rank, or set no checkpoint_dir",
}


@dataclass(frozen=True)
class MemoryEstimate:
    """What the phases of a run take beside the graph, in bytes, by part.

    Args:
        phases (dict[str, dict[str, int]]): Phase to part to bytes.
    """

    phases: dict[str, dict[str, int]]

    @property
    def peak(self) -> str:
        """The phase that takes most."""
        return max(self.phases, key=self.total)

    def total(self, phase: str | None = None) -> int:
        """What a phase takes; the one that takes most if :obj:`None`."""
        if not self.phases:  # nothing is trained
            return 0
        return sum(self.phases[self.peak if phase is None else phase].values())

    def check(self, available: int) -> None:
        """Compares with what there is.

        Args:
            available (int): Bytes that there are.

        Raises:
            MemoryBudgetError: If there is not enough; names phase and parts, and which option to lower.
        """
        if self.total() > available:
            parts = sorted(self.phases[self.peak].items(), key=lambda item: -item[1])
            told = ", ".join(f"{name} {_readable(size)}" for name, size in parts if size > 0)
            raise MemoryBudgetError(
                f"{self.peak}: expected to need {_readable(self.total())} ({told}), {_readable(available)} are "
                f"available; lower {LOWER[parts[0][0]]}"
            )

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Plain values."""
        return {phase: dict(parts) for phase, parts in self.phases.items()}

    def __str__(self) -> str:
        width = max(map(len, self.phases))
        rows = []
        for phase, parts in self.phases.items():
            told = ", ".join(f"{name} {_readable(size)}" for name, size in parts.items() if size > 0)
            rows.append(f"{phase:<{width}}  {_readable(self.total(phase)):>9}  {told}")
        return "\n".join(rows)


@dataclass(frozen=True)
class _Sizes:
    """Bytes of a model: parameters, entity table, what is kept and made of features."""

    parameters: int
    table: int
    features: int = 0
    activations: int = 0
    product: bool = True


def estimate_memory(
    data: Data,
    config: DSoMConfig | None = None,
    teachers: Mapping[str, object] | None = None,
    checkpoints: bool = False,
    parts: Sequence[str] = PARTS[:2],
) -> MemoryEstimate:
    """How much memory a run on a graph takes, beside the graph itself; none of it is allocated to tell.

    Each part counts at its largest, as if all were so at once; what was measured lies between 0.5 and 1.25 of it.

    Args:
        data (Data): A graph in the data contract.
        config (DSoMConfig, optional): The configuration; defaults if :obj:`None`.
        teachers (dict, optional): Teachers that are there already, by name; none but those of folds are trained then.
        checkpoints (bool): Whether the run is kept in a folder. (default: :obj:`False`)
        parts (list[str]): Which of ``"teachers"``, ``"student"``, ``"baseline"`` and ``"paths"``.
            (default: :obj:`("teachers", "student")`)

    Returns:
        MemoryEstimate: By phase and part.

    Raises:
        ConfigError: If a part is unknown.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> estimate = estimate_memory(FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0])
        >>> list(estimate.phases)[0], list(estimate.phases)[-1]
        ('teacher/structure', 'student')
        >>> sorted(estimate.phases["student"])
        ['checkpoint', 'models', 'signals', 'soft labels', 'training', 'validation', 'workspace']
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ConfigError(f"parts: expected some of {list(PARTS)}, got '{unknown[0]}'")
    config = DSoMConfig() if config is None else config
    runs = [] if teachers else [""]
    if "student" in parts:
        runs += [f"fold{number}/" for number in range(config.crossfit)]
    experts = _experts(data, config) if runs and "teachers" in parts else {}
    rules = PATH * PathIndex(data).num_paths if experts and config.rule_weight > 0 else 0
    size = int(data.num_nodes) if experts and config.ridge_weight > 0 else 0
    ridge, sums = FLOAT * size * size, FLOAT * size * (size // HUBS)  # the inverse; its sums for what has most answers
    relations = 2 * int(data.num_relations) if experts and config.frequency_weight > 0 else 0
    counts = relations * (int(data.num_nodes) + FLOAT * CLASSES)  # a byte for each entity
    walks = WALKED * 2 * data.edge_type.numel() if experts and config.path_weight > 0 else 0
    phases: dict[str, dict[str, int]] = {}
    kept = tables = 0
    for prefix in runs if experts else []:
        features = sum(part.features for part in experts.values())
        held = kept + sum(part.parameters for part in experts.values())
        for name, part in experts.items():
            sizes = _fit(part, data, expert_fit(config, name), 2, checkpoints)
            phases[f"{prefix}teacher/{name}"] = {"models": held, "features": features + part.activations, **sizes}
            held += part.parameters  # the last gradient stays
        frozen = copied = sum(part.table for part in experts.values())
        if walks:
            phases[f"{prefix}teacher/{PATHS}"] = {
                "models": held + walks,
                "features": features,
                "paths": _paths(data, config),
            }
        if len(experts) > 1 or rules or ridge or counts or walks:
            # The tables, copies of them, and the fused one, which holds them side by side.
            mining = MINING * CHUNK + 2 * rules if rules else 0
            # Counts, a matrix, its factor and its inverse at once.
            counting = counts + 4 * DOUBLE * relations**2 + COUNTING * min(relations * int(data.num_nodes), COUNTED)
            guides = {"rules": mining, "ridge": 2 * ridge + sums, "frequencies": counting}  # a matrix and its factor
            phases[f"{prefix}teacher/{FUSED}"] = {"models": held + 3 * frozen + walks, "features": features, **guides}
            frozen, copied = 2 * frozen + rules + ridge + sums + counts + walks, 2 * copied
        kept, tables = kept + frozen, tables + copied
    if "paths" in parts:
        walks = WALKED * 2 * data.edge_type.numel()
        phases[f"teacher/{PATHS}"] = {"models": walks, "paths": _paths(data, config)}
    if "student" in parts:
        phases["student"] = _student(data, config, kept, tables, teachers or {}, checkpoints)
    if "baseline" in parts:
        own = _tables(data, config.scorer, config.rank)
        phases["ce_only"] = {"models": own.parameters, **_fit(own, data, config.student_fit, 2, checkpoints)}
    return MemoryEstimate(phases)


def _experts(data: Data, config: DSoMConfig) -> dict[str, _Sizes]:
    """Sizes of the experts that are trained on a graph."""
    kinds = modalities(data)
    seen = {name: list(kinds) if name == JOINT else [name] for name in expert_names(data, config)}
    return {
        name: _tables(data, config.scorer, config.rank)
        if name.startswith(STRUCTURE)
        else _projected(data, config, name, parts)
        for name, parts in seen.items()
    }


def _tables(data: Data, scorer: str, rank: int) -> _Sizes:
    """A free vector for each entity."""
    with torch.device("meta"):
        interaction = make_interaction(scorer, rank)
    own: int = sum(value.numel() for value in interaction.parameters())
    table = FLOAT * int(data.num_nodes) * interaction.entity_dim
    relations = FLOAT * (2 * int(data.num_relations) * interaction.relation_dim + own)
    return _Sizes(table + relations, table, product=interaction.is_product)


def _projected(data: Data, config: DSoMConfig, name: str, seen: list[str]) -> _Sizes:
    """Vectors made of features."""
    joint = name == JOINT
    whole = _tables(data, config.scorer if joint else config.teacher_scorer, config.rank)
    size, hidden = int(data.num_nodes), 0 if joint else config.teacher_hidden
    dim = whole.table // (FLOAT * size)
    there = torch.stack([data[f"{kind}_mask"] for kind in seen]).any(dim=0).sum()
    free = size if joint else size - int(there)
    parameters, features, activations = FLOAT * free * dim, 0, 3 * whole.table
    for kind in seen:
        rows, width = int(data[f"{kind}_mask"].sum()), data[f"x_{kind}"].size(1)
        parameters += FLOAT * ((width + 1) * hidden + hidden * dim if hidden else width * dim)
        features += FLOAT * rows * width
        activations += FLOAT * rows * (4 * hidden + 2 * dim)
    parameters += whole.parameters - whole.table
    return replace(whole, parameters=parameters, features=features, activations=activations)


def _fit(part: _Sizes, data: Data, fit: FitConfig, slabs: int, checkpoints: bool) -> dict[str, int]:
    """What training a model takes beside the model."""
    size = int(data.num_nodes)
    moments = 2 if fit.optimizer == "adam" else 1
    # Gradient, moments, what a step makes, the best weights; the gradient of the table on its way.
    training = (3 + moments) * part.parameters + part.table
    rows = min(fit.batch_size, rows_within(fit.workspace_bytes, slabs, size)) if part.product else fit.batch_size
    facts = split_triples(data, "val").size(0)
    scores = min(max(SCORE_BYTES, FLOAT * size), FLOAT * size * facts)
    return {
        "training": training,
        "workspace": FLOAT * rows * size * (1 if part.product else 20),  # a graph over all rows
        "validation": scores + 2 * part.table if facts else 0,
        "checkpoint": (2 + moments) * part.parameters if checkpoints else 0,
    }


def _paths(data: Data, config: DSoMConfig) -> int:
    """What training a guide of paths takes: messages and states of all steps, the way back through one, and logits."""
    state = STATES * FLOAT * config.path_dim
    sizes = walk_sizes(data, config.path_layers, config.path_max_degree)
    steps = [MESSAGE * messages + state * reached for messages, reached in sizes]
    return int(config.path_fit.batch_size * (sum(steps) + 3 * max(steps) + 4 * FLOAT * int(data.num_nodes)))


def _student(
    data: Data, config: DSoMConfig, kept: int, tables: int, teachers: Mapping[str, object], checkpoints: bool
) -> dict[str, int]:
    """What distilling takes; teachers that are there already are not counted."""
    size, fit = int(data.num_nodes), config.student_fit
    own = _tables(data, config.scorer, config.rank)
    count = len(teachers) or len(expert_names(data, config)) + 1
    facts = split_triples(data, "train")
    labels = _soft_labels(data, config, count) if config.cache == "memory" else 0
    ensemble = 1 + count * (2 if config.cache != "none" or product_dtype(config.teacher_dtype) is not None else 1)
    parts = _fit(own, data, fit, 3, checkpoints)
    # One pass for the signals of the facts leaves its memory to nobody else; held-out lessons have their own.
    budget = fit.workspace_bytes
    labels_at_once = _pieces(256, budget // 2, count, ensemble, size)
    labels_at_once += _pieces(fit.batch_size, budget // 3, count, count + 3, size)
    lesson = min(64, rows_within(fit.workspace_bytes, 3 + ensemble, size)) * (3 + ensemble + count)
    if config.reward == "lookahead":
        lesson = 3 * (256 + fit.batch_size)
    parts["workspace"] += FLOAT * size * (labels_at_once + lesson)
    narrow = 0 if product_dtype(config.teacher_dtype) is None else (tables or _size(teachers)) // 2
    models = kept + narrow + own.parameters + (_size(teachers) if _trains(teachers) else 0)
    likely = config.candidate_top_k if config.candidates == "topk" else 0
    numbers = FLOAT * facts.size(0) * 2 * (6 * count + 4 + likely)
    return {"models": models, "soft labels": labels, "signals": 2 * numbers, **parts}


def _pieces(rows: int, budget: int, count: int, slabs: int, size: int) -> int:
    """Rows of what teachers say of a batch, and of the pieces that it is softened in."""
    pieces = piece_rows(torch.empty(0), slabs, size, CACHED_BYTES, max(budget, 1))
    return min(rows, rows_within(max(budget, 1), count, size)) * count + min(rows, pieces) * slabs


def _soft_labels(data: Data, config: DSoMConfig, count: int) -> int:
    """The cache: as many queries as there are, as many as its budget has room for."""
    if config.candidates != "all":
        return 0
    size = int(data.num_nodes)
    head, relation, tail = split_triples(data, "train").unbind(dim=-1)
    span = 2 * int(data.num_relations)
    queries: int = torch.cat([head * span + relation, tail * span + relation + span // 2]).unique().numel()
    top_k = config.cache_top_k if config.cache_top_k < size else 0
    each = 6 * count * top_k if top_k else 2 * count * size
    return each * min(queries, config.cache_bytes // max(each, 1))


def _size(parts: Mapping[str, object]) -> int:
    """Bytes of the tensors of models."""
    modules = [part for part in parts.values() if isinstance(part, nn.Module)]
    total: int = sum(value.numel() * value.element_size() for part in modules for value in part.parameters())
    return total


def _trains(parts: Mapping[str, object]) -> bool:
    """Whether models are not frozen yet, so that a frozen copy is made of them."""
    modules = [part for part in parts.values() if isinstance(part, nn.Module)]
    return any(value.requires_grad for part in modules for value in part.parameters())


def _readable(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"
