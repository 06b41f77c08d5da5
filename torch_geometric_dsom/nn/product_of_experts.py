"""Several experts as one: the normalised product of their distributions, which is again a ComplEx."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.complex import ComplEx, ComplExScorer


@torch.no_grad()
def product_of_experts(experts: Sequence[ComplExScorer], weights: Sequence[float] | None = None) -> ComplEx:
    r"""Fuses trained experts into one frozen scorer, `a product of experts <https://doi.org/10.1162/089976602760128018>`_.

    .. math::
        z(h, r, t) = \sum_k w_k \, z_k(h, r, t)
        \quad \Rightarrow \quad
        \mathrm{softmax}(z) \propto \prod_k \mathrm{softmax}(z_k)^{w_k}

    An answer has to be likely for every expert. The result is one :class:`ComplEx` whose rank is the sum of the
    experts' ranks: their tables side by side, weights taken into the relations.

    Args:
        experts (list[ComplExScorer]): Scorers of the same entities and relations.
        weights (list[float], optional): Weight :math:`w_k` of each expert; :math:`1 / K` each if :obj:`None`.

    Returns:
        ComplEx: Frozen, in evaluation mode.

    Raises:
        ConfigError: If there is no expert, or sizes or the number of weights disagree.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ComplEx, product_of_experts
        >>> experts = [ComplEx(4, 1, rank=2), ComplEx(4, 1, rank=3)]
        >>> product_of_experts(experts).rank
        5
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
    halves = [model.entity.chunk(2, dim=-1) for model in frozen]
    entity = torch.cat([re for re, _ in halves] + [im for _, im in halves], dim=-1)
    halves = [(weight * model.relation).chunk(2, dim=-1) for weight, model in zip(weights, frozen, strict=True)]
    relation = torch.cat([re for re, _ in halves] + [im for _, im in halves], dim=-1)
    num_entities, num_relations = sizes.pop()
    fused = ComplEx(num_entities, num_relations, entity.size(1) // 2)
    fused.load_state_dict({"entity": entity, "relation": relation})
    return fused.to(entity.device).eval().requires_grad_(False)
