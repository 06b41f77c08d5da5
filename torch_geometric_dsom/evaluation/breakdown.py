"""Where a scorer is good and where it is not: its ranks by degree, by modalities that are there, by relation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import degree

from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.data.triples import split_triples
from torch_geometric_dsom.data.vocabulary import Vocabulary
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation.metrics import RankingResult

BREAKDOWNS = ("query_degree", "target_degree", "query_modalities", "target_modalities", "relation")
DEGREES = (0, 1, 3, 10)  # where the buckets of degrees begin


@dataclass(frozen=True, eq=False)
class Bucket:
    """The ranks of some queries of a result.

    Args:
        name (str): What they have in common.
        result (RankingResult): Their ranks, in the order of the whole.
    """

    name: str
    result: RankingResult


@dataclass(frozen=True, eq=False)
class Breakdown:
    """A result in parts; buckets without a query are left out.

    Args:
        by (str): What it is cut by.
        buckets (list[Bucket]): The parts, each query in exactly one.
    """

    by: str
    buckets: tuple[Bucket, ...]

    def __getitem__(self, name: str) -> RankingResult:
        """The ranks of the bucket of a name."""
        for bucket in self.buckets:
            if bucket.name == name:
                return bucket.result
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers of each bucket, by name, as :meth:`RankingResult.to_dict` gives them."""
        return {bucket.name: bucket.result.to_dict() for bucket in self.buckets}

    def __str__(self) -> str:
        width = max(len(self.by), *(len(bucket.name) for bucket in self.buckets))
        lines = [f"{self.by:<{width}}     MRR  Hits@1 Hits@10    count"]
        for bucket in self.buckets:
            result = bucket.result
            numbers = f"{result.mrr:7.4f} {result.hits_at(1):7.4f} {result.hits_at(10):7.4f} {result.count:8d}"
            lines.append(f"{bucket.name:<{width}} {numbers}")
        return "\n".join(lines)


def breakdown(
    result: RankingResult,
    data: Data,
    by: str = "query_degree",
    split: str = "test",
    degrees: Sequence[int] = DEGREES,
) -> Breakdown:
    """Cuts the ranks of a split into parts.

    A fact that is asked as ``(h, r, ?)`` has the query entity ``h`` and the target ``t``; asked as ``(?, r, t)`` it is
    the other way round.

    Args:
        result (RankingResult): Of :func:`~torch_geometric_dsom.evaluation.evaluate` on the same graph and split.
        data (Data): A graph in the data contract.
        by (str): ``"query_degree"``, ``"target_degree"``: training facts that the entity is in;
            ``"query_modalities"``, ``"target_modalities"``: which modalities the entity has; ``"relation"``: the
            relation's label, or its id where several share the label. (default: :obj:`"query_degree"`)
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"test"`)
        degrees (list[int]): Where the buckets of degrees begin, rising from 0.
            (default: 0, 1-2, 3-9, 10+)

    Returns:
        Breakdown: The parts, each with ranks in the order of the whole: those of two scorers on the same queries can be
        compared pair by pair.

    Raises:
        ConfigError: If :obj:`by` is unknown or the degrees do not rise from 0.
        DataError: If there are not as many ranks as facts of the split.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=1)
        >>> data.test_edge_index, data.test_edge_type = torch.tensor([[0], [2]]), torch.tensor([0])
        >>> result = RankingResult(torch.tensor([2.0, 4.0]), torch.tensor([1, 0]))  # (0, r, ?) and (?, r, 2)
        >>> {bucket.name: bucket.result.mrr for bucket in breakdown(result, data, "query_degree").buckets}
        {'0': 0.25, '1-2': 0.5}
    """
    if by not in BREAKDOWNS:
        raise ConfigError(f"by: expected one of {list(BREAKDOWNS)}, got '{by}'")
    starts = list(degrees)
    if not starts or starts[0] != 0 or any(low >= high for low, high in itertools.pairwise(starts)):
        raise ConfigError(f"degrees: expected rising numbers from 0, got {starts}")
    fact, asked_tail = _facts_of(result, split_triples(data, split), split)
    if by == "relation":
        return _cut(result, by, fact[:, 1], list(Vocabulary.from_data(data).relation_names))
    entity = torch.where(asked_tail if by.startswith("query") else ~asked_tail, fact[:, 0], fact[:, 2])
    if by.endswith("degree"):
        count = degree(data.edge_index.flatten(), data.num_nodes, dtype=torch.long).cpu()
        place = torch.bucketize(count[entity], torch.tensor(starts[1:]), right=True)
        return _cut(result, by, place, _degree_names(starts))
    return _cut(result, by, *_patterns(data, entity))


def _facts_of(result: RankingResult, facts: Tensor, split: str) -> tuple[Tensor, Tensor]:
    """The fact ``[M, 3]`` of each rank, and whether its tail was asked for, ``[M]``."""
    asked_tail = result.direction.cpu() == 1
    facts = facts.cpu()
    fact = facts.new_empty(result.count, 3)
    for chosen in (asked_tail, ~asked_tail):
        count = int(chosen.sum())
        if count not in (0, len(facts)):
            raise DataError(f"result: expected a rank for each of {len(facts)} facts of split '{split}', got {count}")
        if count:
            fact[chosen] = facts
    return fact, asked_tail


def _degree_names(starts: list[int]) -> list[str]:
    names = []
    for low, after in itertools.pairwise(starts):
        names.append(str(low) if after == low + 1 else f"{low}-{after - 1}")
    return [*names, f"{starts[-1]}+"]


def _patterns(data: Data, entity: Tensor) -> tuple[Tensor, list[str]]:
    """Which modalities entities have, as a number in which each is a bit, and the names of all such numbers."""
    kinds = modalities(data)
    place = torch.zeros_like(entity)
    for bit, name in enumerate(kinds):
        place += data[f"{name}_mask"].cpu()[entity].long() << bit
    patterns = ([name for bit, name in enumerate(kinds) if number >> bit & 1] for number in range(1 << len(kinds)))
    return place, [" + ".join(pattern) or "none" for pattern in patterns]


def _cut(result: RankingResult, by: str, place: Tensor, names: list[str]) -> Breakdown:
    ranks, direction = result.ranks.cpu(), result.direction.cpu()
    chosen = ((number, place == number) for number in place.unique().tolist())
    buckets = (Bucket(names[number], RankingResult(ranks[rows], direction[rows])) for number, rows in chosen)
    return Breakdown(by, tuple(buckets))
