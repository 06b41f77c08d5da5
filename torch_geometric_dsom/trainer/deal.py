"""Which way the processes of a run share it, and what stands against dealing out the entities."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from torch_geometric_dsom.distributed import World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import EmbeddingScorer, ModalityTeacher, Scorer, ShardedScorer, product_of_experts
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.guides import OPTIONS
from torch_geometric_dsom.trainer.team import SOLO, Team

DISTRIBUTED = ("auto", "none", "data", "entity")
MANY_ENTITIES = 20_000  # from which on dealing them out is the quicker way, see benchmarks/distributed


def make_team(
    distributed: str, world: World, num_entities: int, config: DSoMConfig, loss: nn.Module, models: Iterable[object]
) -> Team:
    """How the processes share the run.

    Args:
        distributed (str): ``"auto"``, ``"none"``, ``"data"`` or ``"entity"``; ``"auto"`` deals out the entities where
            there are many of them and nothing stands against it.
        world (World): The processes.
        num_entities (int): Entities of the graph.
        config (DSoMConfig): The options.
        loss (nn.Module): The distillation loss.
        models (list): Student and teachers that were given.

    Raises:
        ConfigError: If ``"entity"`` is asked for and something stands against it.

    Example:
        >>> make_team("auto", World(), 10, DSoMConfig(), NeighborDecoupledKDLoss(), []).world.size
        1
    """
    if distributed == "none" or world.size == 1:
        return SOLO
    found = obstacle(config, loss, models) if distributed != "data" else None
    if distributed == "entity":
        if found is not None:
            raise ConfigError(f"distributed: expected 'data' or 'auto' with {found}, got 'entity'")
        return Team(world, "entity")
    deal = distributed == "auto" and found is None and num_entities >= MANY_ENTITIES
    return Team(world, "entity" if deal else "data")


def obstacle(config: DSoMConfig, loss: nn.Module, models: Iterable[object]) -> str | None:
    """What of a run cannot be done on dealt out entities; nothing if all of it can."""
    if not isinstance(loss, NeighborDecoupledKDLoss) or loss.standardize:
        return f"the loss {type(loss).__name__} on other than plain logits"
    if config.neighbors == "topk":
        return "neighbors='topk'"
    if config.reward not in ("rank", "margin"):
        return f"reward='{config.reward}'"
    for name in OPTIONS.values():
        if getattr(config, name) > 0:
            return f"{name} above 0"
    if config.selection == "best_per_relation":
        return "selection='best_per_relation'"
    other = [model for model in models if not isinstance(model, (EmbeddingScorer, ModalityTeacher, ShardedScorer))]
    return f"a model of the class {type(other[0]).__name__}" if other else None


def deal(model: Scorer, team: Team) -> Scorer:
    """A model as the team holds it: whole, or this process's part."""
    if team.entities.size == 1 or isinstance(model, ShardedScorer):
        return model
    return ShardedScorer.cut_from(model, team.entities)


def fuse(experts: list[Scorer]) -> Scorer:
    """The product of experts, dealt out where they are."""
    parts = [expert.part for expert in experts if isinstance(expert, ShardedScorer)]
    if not parts:
        return product_of_experts(experts)
    assert isinstance(experts[0], ShardedScorer)
    return ShardedScorer(product_of_experts(parts), experts[0].shard).eval().requires_grad_(False)
