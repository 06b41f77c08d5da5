"""The facts of a graph as rows (head, relation, tail)."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError

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
        return torch.empty(0, 3, dtype=torch.long)
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
