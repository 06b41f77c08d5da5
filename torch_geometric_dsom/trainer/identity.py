"""What a run depends on: enough to tell that a checkpoint is of this run and no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data


def run_identity(seed: int, config: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Seed, options, and a sum over the graph, by name.

    Args:
        seed (int): The seed.
        config (dict): Options, nested or not.
        data (Data): The graph.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
        >>> found = run_identity(0, {"rank": 4, "fit": {"lr": 0.1}}, data)
        >>> found["rank"], found["fit.lr"], len(found["data"])
        (4, 0.1, 16)
    """
    found: dict[str, Any] = {"seed": seed, **flat(config)}
    tensors = {name: value for name, value in data.to_dict().items() if isinstance(value, Tensor)}
    found["data"] = tensor_sum(tensors)
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def part_identity(part: object) -> str:
    """What tells a model that was passed in from another one.

    Example:
        >>> part_identity(nn.Identity())
        'Identity() e3b0c44298fc1c14'
    """
    return f"{part!r} {tensor_sum(part.state_dict())}" if isinstance(part, nn.Module) else type(part).__name__


def tensor_sum(tensors: Mapping[str, Any]) -> str:
    """A sum over named tensors, sixteen digits; what is none is left out."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            plain = value.detach().cpu().contiguous().reshape(-1)
            digest.update(plain.as_strided(plain.shape, (1,)).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options in one dictionary, names joined by dots.

    Example:
        >>> flat({"rank": 4, "fit": {"lr": 0.1}})
        {'rank': 4, 'fit.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
