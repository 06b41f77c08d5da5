"""Checks a graph against the data contract and counts what a benchmark should know about it."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.contract import CHUNK, SPLITS, violations
from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.errors import DataError


@dataclass(frozen=True)
class ModalityReport:
    """What :func:`validate` found about one modality.

    Args:
        dim (int): Number of features.
        entities (int): Entities whose mask is True.
        coverage (float): Their share of all entities, in :math:`[0, 1]`.
        zero_rows (int): Entities whose mask is True, but all of whose features are zero.
        stray_rows (int): Entities whose mask is False, but which have a feature that is not zero.
    """

    dim: int
    entities: int
    coverage: float
    zero_rows: int
    stray_rows: int


@dataclass(frozen=True)
class ValidationReport:
    """What :func:`validate` found; the counts stay empty where there are errors.

    Args:
        errors (list[str]): What breaks the contract.
        num_entities (int): Number of entities.
        num_relations (int): Number of relations, without inverses.
        facts (dict[str, int]): Facts of ``train``, ``val`` and ``test``.
        duplicates (dict[str, int]): Facts of a split that repeat an earlier one of the same split.
        self_loops (dict[str, int]): Facts of a split from an entity to itself.
        overlap (dict[str, int]): Facts of the second split that are in the first too, for ``train/val``,
            ``train/test`` and ``val/test``.
        inverse_leakage (float): Share of the test facts :math:`(h, r, t)` for which training has a fact
            :math:`(t, r', h)`, with any relation, in :math:`[0, 1]`.
        unseen_entities (int): Entities that no training fact touches.
        unseen_test_facts (int): Test facts that touch such an entity.
        modalities (dict[str, ModalityReport]): What was found about each modality.
    """

    errors: list[str] = field(default_factory=list)
    num_entities: int = 0
    num_relations: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    self_loops: dict[str, int] = field(default_factory=dict)
    overlap: dict[str, int] = field(default_factory=dict)
    inverse_leakage: float = 0.0
    unseen_entities: int = 0
    unseen_test_facts: int = 0
    modalities: dict[str, ModalityReport] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the contract is kept."""
        return not self.errors

    def to_dict(self) -> dict[str, object]:
        """The report as plain numbers, strings, lists and dictionaries, fit for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        if self.errors:
            return "\n".join([f"{len(self.errors)} error(s):", *(f"  {error}" for error in self.errors)])
        tests = self.facts["test"]
        lines = [
            ("entities", f"{self.num_entities}, {self.unseen_entities} of them not in training"),
            ("relations", f"{self.num_relations}"),
            ("facts", _counts(self.facts)),
            ("duplicates", _counts(self.duplicates)),
            ("self-loops", _counts(self.self_loops)),
            ("overlap", _counts(self.overlap)),
            ("test facts", f"{tests}, {self.unseen_test_facts} of them with an entity that is not in training"),
            ("inverse leakage", f"{self.inverse_leakage:.1%} of the test facts"),
        ]
        for name, modality in self.modalities.items():
            text = f"{modality.dim} features, {modality.entities} entities ({modality.coverage:.1%})"
            text += f", {modality.zero_rows} of them all zero" if modality.zero_rows else ""
            text += f", {modality.stray_rows} rows not zero outside the mask" if modality.stray_rows else ""
            lines.append((name, text))
        return "\n".join(f"{name:<16} {text}" for name, text in lines)


def validate(data: Data, strict: bool = True) -> ValidationReport:
    r"""Checks a graph against the data contract.

    What makes training or evaluation impossible is an error: a missing attribute, a wrong shape or dtype, an entity or
    relation out of range, features that are not finite, a modality without a mask, labels of another length, no
    training fact. What is only worth knowing is counted in the report: duplicates, overlap of splits, leakage through
    inverse facts, unseen entities, coverage. Held-out facts, modalities and labels may be absent.

    Args:
        data (Data): The graph.
        strict (bool): Raise at the first error; with :obj:`False`, all are listed in the report.
            (default: :obj:`True`)

    Returns:
        ValidationReport: Counts, and the errors if not ``strict``.

    Raises:
        DataError: If the contract is broken and ``strict``.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 0], [1, 1]]), edge_type=torch.tensor([0, 0]), num_nodes=3)
        >>> data.num_relations = 1
        >>> report = validate(data)
        >>> report.duplicates["train"], report.unseen_entities
        (1, 1)
    """
    errors: list[str] = []
    for error in violations(data):
        if strict:
            raise DataError(error)
        errors.append(error)
    return ValidationReport(errors=errors) if errors else _report(data)


def _report(data: Data) -> ValidationReport:
    size, num_relations = int(data.num_nodes), int(data.num_relations)
    edges = {split: _edges(data, prefix) for split, prefix in SPLITS.items()}
    keys = {split: (h * num_relations + r) * size + t for split, (h, r, t) in edges.items()}
    seen = torch.zeros(size, dtype=torch.bool, device=data.edge_index.device)
    seen[data.edge_index.flatten()] = True
    train_head, _, train_tail = edges["train"]
    head, _, tail = edges["test"]
    leaked = torch.isin(tail * size + head, train_head * size + train_tail)
    return ValidationReport(
        num_entities=size,
        num_relations=num_relations,
        facts={split: key.numel() for split, key in keys.items()},
        duplicates={split: key.numel() - torch.unique(key).numel() for split, key in keys.items()},
        self_loops={split: int((h == t).sum()) for split, (h, _, t) in edges.items()},
        overlap={f"{a}/{b}": int(torch.isin(keys[b], keys[a]).sum()) for a, b in itertools.combinations(keys, 2)},
        inverse_leakage=int(leaked.sum()) / max(1, leaked.numel()),
        unseen_entities=int((~seen).sum()),
        unseen_test_facts=int((~(seen[head] & seen[tail])).sum()),
        modalities={name: _modality(data[f"x_{name}"], data[f"{name}_mask"]) for name in modalities(data)},
    )


def _edges(data: Data, prefix: str) -> tuple[Tensor, Tensor, Tensor]:
    """Heads, relations and tails of a split, empty where it is absent."""
    if f"{prefix}edge_index" not in data:
        empty = data.edge_type.new_empty(0)
        return empty, empty, empty
    head, tail = data[f"{prefix}edge_index"]
    return head, data[f"{prefix}edge_type"], tail


def _modality(x: Tensor, mask: Tensor) -> ModalityReport:
    filled = torch.cat([(part != 0).any(dim=1) for part in x.split(CHUNK)])
    covered = int(mask.sum())
    return ModalityReport(
        dim=x.size(1),
        entities=covered,
        coverage=covered / mask.numel(),
        zero_rows=int((mask & ~filled).sum()),
        stray_rows=int((~mask & filled).sum()),
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
