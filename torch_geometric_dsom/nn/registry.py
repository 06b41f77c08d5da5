"""Scorers and interactions by name, and from the plain values that a save keeps."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.complex import ComplEx, ComplExInteraction
from torch_geometric_dsom.nn.distmult import DistMult, DistMultInteraction
from torch_geometric_dsom.nn.frequency_scorer import FrequencyScorer
from torch_geometric_dsom.nn.guide import Guide
from torch_geometric_dsom.nn.guided_scorer import GuidedScorer
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.mixture import SumInteraction
from torch_geometric_dsom.nn.path_scorer import PathScorer
from torch_geometric_dsom.nn.ridge_scorer import RidgeScorer
from torch_geometric_dsom.nn.rotate import RotatE, RotatEInteraction
from torch_geometric_dsom.nn.rule_scorer import RuleScorer
from torch_geometric_dsom.nn.scorer import EmbeddingScorer
from torch_geometric_dsom.nn.transe import TransE, TransEInteraction
from torch_geometric_dsom.nn.tucker import TuckER, TuckERInteraction

SCORERS: dict[str, Callable[..., EmbeddingScorer]] = {
    "complex": ComplEx,
    "distmult": DistMult,
    "transe": TransE,
    "rotate": RotatE,
    "tucker": TuckER,
}
INTERACTIONS: dict[str, type[Interaction]] = {
    cls.name: cls
    for cls in (ComplExInteraction, DistMultInteraction, TransEInteraction, RotatEInteraction, TuckERInteraction)
}

GUIDES: dict[str, type[Guide]] = {cls.name: cls for cls in (RuleScorer, RidgeScorer, FrequencyScorer, PathScorer)}


def make_interaction(config: Mapping[str, Any] | str, rank: int | None = None) -> Interaction:
    """Builds an interaction.

    Args:
        config (dict or str): What :meth:`Interaction.config` gives, or a name in :obj:`INTERACTIONS`.
        rank (int, optional): Size of the vectors, where a name is given.

    Returns:
        Interaction: A new one.

    Raises:
        ConfigError: If the name is unknown or the arguments do not fit.

    Example:
        >>> make_interaction("transe", rank=4)
        TransEInteraction(rank=4, p=2.0, normalize=False)
        >>> make_interaction({"name": "rotate", "rank": 2})
        RotatEInteraction(rank=2, margin=0.0)
    """
    options: dict[str, Any] = {"name": config, "rank": rank} if isinstance(config, str) else dict(config)
    name = options.pop("name", None)
    if name == SumInteraction.name:
        return SumInteraction([make_interaction(part) for part in options["parts"]], options["weights"])
    if name not in INTERACTIONS:
        close = difflib.get_close_matches(str(name), INTERACTIONS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"interaction: expected one of {list(INTERACTIONS)}, got {name!r}{hint}")
    try:
        return INTERACTIONS[name](**options)
    except TypeError as error:
        raise ConfigError(f"interaction '{name}': {error}") from error


def make_scorer(config: Mapping[str, Any]) -> EmbeddingScorer:
    """Builds a scorer from what :meth:`EmbeddingScorer.config` gives; its tables are still to be loaded.

    Args:
        config (dict): ``num_entities``, ``num_relations`` and ``interaction``.

    Returns:
        EmbeddingScorer: A :class:`ComplEx` for its interaction.

    Raises:
        ConfigError: If a value is missing or does not fit.

    Example:
        >>> from torch_geometric_dsom.nn import TuckER
        >>> make_scorer(TuckER(5, 2, rank=4).config()).interaction
        TuckERInteraction(rank=4, relation_rank=4)
    """
    missing = {"num_entities", "num_relations", "interaction"} - set(config)
    if missing:
        raise ConfigError(f"config: expected num_entities, num_relations and interaction, {sorted(missing)} missing")
    interaction = make_interaction(config["interaction"])
    if isinstance(interaction, ComplExInteraction):
        return ComplEx(config["num_entities"], config["num_relations"], interaction.rank)
    return EmbeddingScorer(config["num_entities"], config["num_relations"], interaction)


def guide_from_config(config: Mapping[str, Any]) -> Guide:
    """Builds a guide from its name and what :meth:`Guide.config` gives; what it knows is still to be loaded.

    Args:
        config (dict): ``name`` of one in :obj:`GUIDES`, and its arguments.

    Raises:
        ConfigError: If the name is unknown or the arguments do not fit.

    Example:
        >>> guide_from_config({"name": "frequency", "num_entities": 4, "num_relations": 1})
        FrequencyScorer(4, 1)
    """
    told = dict(config)
    kind = told.pop("name", None)
    if kind not in GUIDES:
        raise ConfigError(f"guide: expected the name of one of {sorted(GUIDES)}, got {kind!r}")
    try:
        return GUIDES[kind](**told)
    except TypeError as error:
        raise ConfigError(f"guide: {error}") from error


def make_guided_scorer(config: Mapping[str, Any]) -> GuidedScorer:
    """Builds a guided scorer from what :meth:`GuidedScorer.config` gives; its tables are still to be loaded.

    Args:
        config (dict): ``scorer``, ``guide`` and ``weight``, and ``temperature`` where it is not 1.

    Raises:
        ConfigError: If a value is missing or does not fit.

    Example:
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> make_guided_scorer(GuidedScorer(ComplEx(4, 1, rank=2), RuleScorer(4, 1), 3.0).config()).weight
        3.0
    """
    missing = {"scorer", "guide", "weight"} - set(config)
    if missing:
        raise ConfigError(f"config: expected scorer, guide and weight, {sorted(missing)} missing")
    scorer, guide = config["scorer"], guide_from_config(config["guide"])
    inner = make_guided_scorer if scorer.get("name") == GuidedScorer.name else make_scorer
    return GuidedScorer(inner(scorer), guide, config["weight"], config.get("temperature", 1.0))
