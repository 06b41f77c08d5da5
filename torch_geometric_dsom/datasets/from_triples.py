"""A graph from facts in memory, whatever they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.datasets.carve import carve_validation
from torch_geometric_dsom.errors import ConfigError, DataError

Facts = Iterable[Sequence[Any]]
COLUMNS = ("head", "relation", "tail")


def from_triples(
    train: Facts,
    val: Facts | None = None,
    test: Facts | None = None,
    shares: tuple[float, float] = (0.1, 0.1),
    seed: int = 0,
) -> Data:
    """Builds a graph in the data contract from facts given by labels.

    Entities and relations are numbered in the order in which they first occur; their labels are their ids too. A split
    that is not given is drawn from the training facts by the seed, such that training keeps every entity and relation.

    Args:
        train (Iterable): Facts ``(head, relation, tail)``: a list of tuples, or a pandas table with these columns.
            Labels are strings or integers.
        val (Iterable, optional): Validation facts.
        test (Iterable, optional): Test facts.
        shares (tuple[float, float]): Shares of the training facts to draw for validation and test where they are not
            given, each in :math:`[0, 1)`. (default: :obj:`(0.1, 0.1)`)
        seed (int): Seed of the draw. (default: :obj:`0`)

    Returns:
        Data: Without modalities yet; give it ``x_<name>`` and ``<name>_mask`` of your own.

    Raises:
        ConfigError: If a share is out of range, or so many facts cannot be spared.
        DataError: If there is no fact, or one is not three labels.

    Example:
        >>> from torch_geometric_dsom.datasets import from_triples
        >>> facts = [("ada", "knows", "bob"), ("bob", "knows", "cy"), ("cy", "knows", "ada")]
        >>> data = from_triples(facts, shares=(0, 0))
        >>> data.entity_ids, data.edge_index.tolist()
        (['ada', 'bob', 'cy'], [[0, 1, 2], [1, 2, 0]])
    """
    for share in shares:
        if not 0.0 <= share < 1.0:
            raise ConfigError(f"shares: expected two shares in [0, 1), got {shares}")
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    parts = {
        name: None if facts is None else _numbered(facts, name, entities, relations)
        for name, facts in (("train", train), ("val", val), ("test", test))
    }
    known = parts["train"]
    if known is None or known.size(0) == 0:
        raise DataError("train: expected at least one fact, got none")
    generator, total = torch.Generator().manual_seed(seed), known.size(0)
    for name, share in zip(("val", "test"), shares, strict=True):
        if parts[name] is None:
            drawn = carve_validation(known, int(share * total), generator)
            parts[name], known = known[drawn], known[~drawn]
    parts["train"] = known
    data = Data(num_nodes=len(entities))
    data.num_relations = len(relations)
    for prefix, name in (("", "train"), ("val_", "val"), ("test_", "test")):
        facts = parts[name]
        assert facts is not None
        data[f"{prefix}edge_index"] = facts[:, [0, 2]].T.contiguous()
        data[f"{prefix}edge_type"] = facts[:, 1].contiguous()
    for kind, ids in (("entity", list(entities)), ("relation", list(relations))):
        data[f"{kind}_ids"] = ids
        data[f"{kind}_labels"] = list(ids)
    return data


def _numbered(facts: Facts, name: str, entities: dict[str, int], relations: dict[str, int]) -> Tensor:
    """Facts as numbers, ``[E, 3]``; labels that are new are added to the vocabularies."""
    rows = []
    for number, fact in enumerate(_rows(facts, name)):
        if isinstance(fact, str) or len(fact) != len(COLUMNS):
            raise DataError(f"{name}[{number}]: expected (head, relation, tail), got {fact!r}")
        labels = [_label(value, f"{name}[{number}]") for value in fact]
        vocabularies = (entities, relations, entities)
        rows.append([known.setdefault(label, len(known)) for label, known in zip(labels, vocabularies, strict=True)])
    return torch.tensor(rows, dtype=torch.long).reshape(-1, 3)


def _rows(facts: Any, name: str) -> Iterable[Sequence[Any]]:
    if not hasattr(facts, "itertuples"):
        yield from facts
        return
    missing = [column for column in COLUMNS if column not in facts.columns]
    if missing:
        raise DataError(f"{name}: expected the columns {list(COLUMNS)}, {missing} missing")
    table: Iterable[Sequence[Any]] = facts[list(COLUMNS)].itertuples(index=False)
    yield from table


def _label(value: Any, where: str) -> str:
    """A label as a string; numbers that are no integers, and nothing at all, name nothing."""
    if isinstance(value, str):
        label = value.strip()
    elif isinstance(value, bool) or value is None or not hasattr(value, "__index__"):
        raise DataError(f"{where}: expected strings or integers, got {value!r}")
    else:
        label = str(value.__index__())
    if not label:
        raise DataError(f"{where}: expected a label, got an empty one")
    return label
