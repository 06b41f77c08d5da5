"""Several experts as one: the normalised product of their distributions, which is again a scorer."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.complex import ComplExInteraction
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.mixture import SumInteraction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer, Scorer


@torch.no_grad()
def product_of_experts(experts: Sequence[Scorer], weights: Sequence[float] | None = None) -> EmbeddingScorer:
    r"""Fuses trained experts into one frozen scorer, `a product of experts <https://doi.org/10.1162/089976602760128018>`_.

    .. math::
        z(h, r, t) = \sum_k w_k \, z_k(h, r, t)
        \quad \Rightarrow \quad
        \mathrm{softmax}(z) \propto \prod_k \mathrm{softmax}(z_k)^{w_k}

    An answer has to be likely for every expert. The result has the experts' tables side by side. Where all are
    ComplEx, so is it, of a rank that is the sum of theirs, scored by one product.

    Args:
        experts (list[Scorer]): Scorers of the same entities and relations.
        weights (list[float], optional): Weight :math:`w_k` of each expert; :math:`1 / K` each if :obj:`None`.

    Returns:
        EmbeddingScorer: Frozen, in evaluation mode.

    Raises:
        ConfigError: If there is no expert, or sizes or the number of weights disagree.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ComplEx, TransE, product_of_experts
        >>> product_of_experts([ComplEx(4, 1, rank=2), ComplEx(4, 1, rank=3)]).rank
        5
        >>> product_of_experts([ComplEx(4, 1, rank=2), TransE(4, 1, rank=3)]).interaction.entity_dim
        7
    """
    if not experts:
        raise ConfigError("experts: expected at least one, got none")
    sizes = {(expert.num_entities, expert.num_relations) for expert in experts}
    if len(sizes) > 1:
        raise ConfigError(f"experts: expected the same (entities, relations), got {sorted(sizes)}")
    weights = [1.0 / len(experts)] * len(experts) if weights is None else list(weights)
    if len(weights) != len(experts):
        raise ConfigError(f"weights: expected {len(experts)} of them, got {len(weights)}")
    frozen = [expert.freeze() for expert in experts]
    if all(isinstance(expert.interaction, ComplExInteraction) for expert in frozen):
        # Real parts first, so that the concatenation is one complex vector; the weights go into the relations.
        halves = [expert.entity.chunk(2, dim=-1) for expert in frozen]
        entity = torch.cat([re for re, _ in halves] + [im for _, im in halves], dim=-1)
        halves = [(weight * expert.relation).chunk(2, dim=-1) for weight, expert in zip(weights, frozen, strict=True)]
        relation = torch.cat([re for re, _ in halves] + [im for _, im in halves], dim=-1)
        interaction: Interaction = ComplExInteraction(entity.size(1) // 2)
    else:
        entity = torch.cat([expert.entity for expert in frozen], dim=-1)
        relation = torch.cat([expert.relation for expert in frozen], dim=-1)
        interaction = SumInteraction([copy.deepcopy(expert.interaction) for expert in frozen], weights)
    return EmbeddingScorer.from_tables(entity, relation, interaction).eval().requires_grad_(False)


@torch.no_grad()
def is_mean_of(scorer: EmbeddingScorer, experts: Sequence[EmbeddingScorer]) -> bool:
    """Whether a scorer is the product of some experts of equal weight, all ComplEx: its logits are then their mean.

    Who asks the experts anyway has no need of a product with tables as wide as all of theirs.

    Args:
        scorer (EmbeddingScorer): The scorer.
        experts (list[EmbeddingScorer]): The experts, in the order in which they were fused.

    Example:
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> experts = [ComplEx(4, 1, rank=2), ComplEx(4, 1, rank=3)]
        >>> is_mean_of(product_of_experts(experts), experts), is_mean_of(experts[0], experts)
        (True, False)
    """
    if not experts or not all(isinstance(one.interaction, ComplExInteraction) for one in (scorer, *experts)):
        return False
    if scorer.rank != sum(expert.rank for expert in experts):
        return False
    for name, weight in (("entity", 1.0), ("relation", 1.0 / len(experts))):
        start = 0
        for expert in experts:
            some = slice(start, start := start + expert.rank)
            parts = zip(getattr(scorer, name).chunk(2, dim=-1), getattr(expert, name).chunk(2, dim=-1), strict=True)
            if not all(torch.equal(mine[:, some], weight * theirs) for mine, theirs in parts):
                return False
    return True
