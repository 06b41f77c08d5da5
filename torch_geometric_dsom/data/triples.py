"""The facts of a graph as rows (head, relation, tail)."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError, DataError

SPLITS = {"train": "", "val": "val_", "valid": "val_", "test": "test_"}


def split_triples(data: Data, split: str) -> Tensor:
    """The facts of one split.

    Args:
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` (or ``"valid"``) or ``"test"``.

    Returns:
        Tensor: ``[E, 3]``, int64; no rows where the graph has no such split.

    Raises:
        ConfigError: If the split is unknown.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0, 1], [2, 3]]), edge_type=torch.tensor([5, 6]))
        >>> split_triples(data, "train").tolist()
        [[0, 5, 2], [1, 6, 3]]
    """
    if split not in SPLITS:
        close = difflib.get_close_matches(str(split), SPLITS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"split: expected one of {list(SPLITS)}, got '{split}'{hint}")
    prefix = SPLITS[split]
    if f"{prefix}edge_index" not in data:
        device = data.edge_index.device if "edge_index" in data else None
        return torch.empty(0, 3, dtype=torch.long, device=device)
    head, tail = data[f"{prefix}edge_index"]
    return torch.stack([head, data[f"{prefix}edge_type"], tail], dim=-1)


def with_inverses(triples: Tensor, num_relations: int) -> Tensor:
    """The facts, then the same facts asked from the other side: ``(t, r + R, h)``.

    Args:
        triples (Tensor): ``[E, 3]``, int64.
        num_relations (int): Number of relations :math:`R`.

    Returns:
        Tensor: ``[2E, 3]``, int64.

    Example:
        >>> import torch
        >>> with_inverses(torch.tensor([[0, 1, 2]]), num_relations=5).tolist()
        [[0, 1, 2], [2, 6, 0]]
    """
    head, relation, tail = triples.unbind(dim=-1)
    return torch.cat([triples, torch.stack([tail, relation + num_relations, head], dim=-1)])


def graph_sizes(data: Data) -> tuple[int, int]:
    """Number of entities and of relations (without inverses), which the data contract wants told, not guessed.

    Args:
        data (Data): A graph in the data contract.

    Returns:
        tuple[int, int]: ``num_nodes`` and ``num_relations``.

    Raises:
        DataError: If one of them is missing.

    Example:
        >>> from torch_geometric.data import Data
        >>> graph_sizes(Data(num_nodes=4, num_relations=2))
        (4, 2)
    """
    for name in ("num_nodes", "num_relations"):
        if name not in data:
            raise DataError(f"data.{name}: expected an attribute, found none")
    return int(data.num_nodes), int(data.num_relations)


def check_triples(triples: Tensor, num_entities: int, num_relations: int, name: str = "triples") -> None:
    """Refuses facts about entities or relations that do not exist, which look-ups by key would silently mix up.

    Args:
        triples (Tensor): ``[E, 3]``, int64.
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`; pass :math:`2R` where inverses may occur.
        name (str): What the error calls them. (default: :obj:`"triples"`)

    Raises:
        DataError: If the shape is another one or an index is out of range.

    Example:
        >>> import torch
        >>> check_triples(torch.tensor([[0, 0, 1]]), num_entities=2, num_relations=1)
    """
    if triples.dim() != 2 or triples.size(1) != 3:
        raise DataError(f"{name}: expected [E, 3], got {list(triples.shape)}")
    if triples.size(0) == 0:
        return
    low, high = triples.amin(dim=0).tolist(), triples.amax(dim=0).tolist()
    for column, size in (("head", num_entities), ("relation", num_relations), ("tail", num_entities)):
        place = ("head", "relation", "tail").index(column)
        if low[place] < 0 or high[place] >= size:
            value = low[place] if low[place] < 0 else high[place]
            raise DataError(f"{name}: expected each {column} in [0, {size}), got {value}")
