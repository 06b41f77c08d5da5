"""States of models and optimisers as if one process had everything, so that any number of processes can go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import Shard
from torch_geometric_dsom.nn import ShardedScorer

State = dict[str, Any]


def plain(model: nn.Module) -> nn.Module:
    """The module that holds the parameters: the part of a sharded scorer, any other itself."""
    return model.part if isinstance(model, ShardedScorer) else model


def whole_model(model: nn.Module, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state of a model, its dealt out rows brought together; every process has to ask.

    Args:
        model (nn.Module): Any model.
        state (dict[str, Tensor], optional): A state of :func:`plain`; the present one if :obj:`None`.
    """
    state = plain(model).state_dict() if state is None else state
    shards = _shards(model)
    return {name: shards[name].gather(value) if name in shards else value for name, value in state.items()}


def own_model(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a whole state is this process's."""
    shards = _shards(model)
    return {name: value[shards[name].rows] if name in shards else value for name, value in state.items()}


def whole_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """The state of an optimiser over the parameters of a model, likewise."""
    return _each(model, optimizer.state_dict(), lambda shard, value: shard.gather(value), own=True)


def own_optimizer(model: nn.Module, state: State) -> State:
    """What of a whole optimiser's state is this process's."""
    return _each(model, state, lambda shard, value: value[shard.rows], own=False)


def _shards(model: nn.Module) -> dict[str, Shard]:
    return model.sharded_parameters() if isinstance(model, ShardedScorer) else {}


def _each(model: nn.Module, state: State, change: Any, own: bool) -> State:
    """Changes those values of an optimiser that belong to the rows of a dealt out parameter."""
    shards = _shards(model)
    if not shards:
        return state
    found = {}
    for (name, parameter), index in zip(plain(model).named_parameters(), state["state"], strict=True):
        values = state["state"][index]
        if name in shards:
            rows = parameter.size(0) if own else shards[name].number
            values = {
                key: change(shards[name], value) if value.dim() == parameter.dim() and value.size(0) == rows else value
                for key, value in values.items()
            }
        found[index] = values
    return {**state, "state": found}
