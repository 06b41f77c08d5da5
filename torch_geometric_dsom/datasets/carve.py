"""A validation split out of training facts."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError


def carve_validation(triples: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Chooses training facts to hold out, so that training still knows every entity and relation.

    Facts are taken in random order; one is left where it is the last to show its head, its relation or its tail.
    A fact that stands in the list twice is not taken.

    Args:
        triples (Tensor): Training facts, ``[E, 3]``, int64.
        size (int): How many to hold out.
        generator (torch.Generator): Source of the order.

    Returns:
        Tensor: Which facts are held out, ``[E]`` bool.

    Raises:
        ConfigError: If so many cannot be taken.

    Example:
        >>> import torch
        >>> facts = torch.tensor([[0, 0, 1], [0, 0, 2], [1, 0, 2], [2, 0, 0]])
        >>> carve_validation(facts, 2, torch.Generator().manual_seed(0)).sum()
        tensor(2)
    """
    if size < 0:
        raise ConfigError(f"size: expected zero or a positive number, got {size}")
    _, inverse, count = triples.unique(dim=0, return_inverse=True, return_counts=True)
    once = (count[inverse] == 1).tolist()
    head, relation, tail = (column.tolist() for column in triples.unbind(dim=-1))
    entities = torch.bincount(torch.cat([triples[:, 0], triples[:, 2]])).tolist()
    relations = torch.bincount(triples[:, 1]).tolist()
    held_out = torch.zeros(triples.size(0), dtype=torch.bool)
    taken = 0
    for fact in torch.randperm(triples.size(0), generator=generator).tolist():
        if taken == size:
            break
        h, r, t = head[fact], relation[fact], tail[fact]
        spare = entities[h] > 2 if h == t else entities[h] > 1 and entities[t] > 1
        if not (once[fact] and spare and relations[r] > 1):
            continue
        entities[h] -= 1
        entities[t] -= 1
        relations[r] -= 1
        held_out[fact] = True
        taken += 1
    if taken < size:
        raise ConfigError(f"size: expected at most {taken} facts that training can spare, got {size}")
    return held_out
