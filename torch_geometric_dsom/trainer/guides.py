"""Frozen scorers that listen to guides: rules, and entities that resemble."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of, evaluate
from torch_geometric_dsom.nn import EmbeddingScorer, Guide, GuidedScorer, RidgeScorer, RuleScorer, Scorer
from torch_geometric_dsom.sampler import best_by_relation

WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0)


def guided(scorer: TailScorer, data: Data, rule_weight: float, ridge_weight: float) -> TailScorer:
    """A frozen scorer that listens to rules and resembling entities of a graph as well, where these have a weight.

    Args:
        scorer (EmbeddingScorer or GuidedScorer): The scorer, such as the product of experts.
        data (Data): A graph in the data contract.
        rule_weight (float): Weight of the rules; none are mined if 0.
        ridge_weight (float): Weight of what entities share with those that resemble them; not asked if 0.
    """
    device = device_of(scorer)
    scorer = _listen(scorer, RuleScorer.from_data(data).to(device), rule_weight) if rule_weight > 0 else scorer
    if ridge_weight > 0:
        scorer = _listen(scorer, RidgeScorer.from_data(data).to(device).solve(), ridge_weight)
    return scorer


def fit_guides(
    scorer: Scorer,
    data: Data,
    weights: Sequence[float] = WEIGHTS,
    kinds: Sequence[str] = (),
    shrinkage: float = math.inf,
) -> EmbeddingScorer | GuidedScorer:
    r"""A trained scorer, asked together with rules and resembling entities: another model, at no further training.

    Weights are tried one guide after the other, :class:`~torch_geometric_dsom.nn.RuleScorer` first, then
    :class:`~torch_geometric_dsom.nn.RidgeScorer`: the one with which validation facts :math:`V` are ranked best, or,
    with a finite shrinkage, for each relation and direction :math:`r` the one that ranks its own, :math:`V_r`, best.
    Few facts tell little, so that the mean over all counts as :math:`s` of them:

    .. math::
        w_r = \operatorname*{arg\,max}_w \sum_{f \in V_r} \frac{1}{\rho_w(f)}
            + \frac{s}{|V|} \sum_{f \in V} \frac{1}{\rho_w(f)}

    Ranks :math:`\rho_w` are filtered by training and validation facts, so that no test fact is read. By default the
    guides see structure alone: a student that needs no modality needs none with them.

    Args:
        scorer (Scorer): Such as the student of :class:`~torch_geometric_dsom.DSoMTrainer`.
        data (Data): A graph in the data contract, with validation facts.
        weights (list[float]): What is tried. (default: :obj:`(0.0, 0.5, 1.0, 2.0, 3.0)`)
        kinds (list[str]): Which modalities the resembling entities are told by as well. (default: :obj:`()`)
        shrinkage (float): The facts :math:`s`, a positive number such as 20; with ``math.inf`` all relations have the
            same weight. (default: :obj:`math.inf`)

    Returns:
        GuidedScorer: The scorer with its guides; as plain tables where validation prefers none.

    Raises:
        ConfigError: If no weight is given, or one is negative, or the shrinkage is not positive, or the graph lacks a
            modality.
        DataError: If there are several weights and no validation facts.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> both = fit_guides(ComplEx(60, 2, rank=4), data, weights=[1.0])
        >>> both.scorer.guide, both.guide
        (RuleScorer(60, 2, rules=58), RidgeScorer(60, 2, facts=180))
    """
    if not len(weights) or not min(weights) >= 0:
        raise ConfigError(f"weights: expected some, zero or positive, got {list(weights)}")
    if not shrinkage > 0:
        raise ConfigError(f"shrinkage: expected a positive number, got {shrinkage}")
    guides = [RuleScorer.from_data(data), RidgeScorer.from_data(data, kinds=kinds)]
    return listen(scorer.freeze(), guides, data, weights, shrinkage)


def listen(
    scorer: EmbeddingScorer | GuidedScorer,
    guides: Sequence[Guide],
    data: Data,
    weights: Sequence[float],
    shrinkage: float,
) -> EmbeddingScorer | GuidedScorer:
    """A frozen scorer with some guides, one after the other, of weights that validation facts choose.

    Args:
        scorer (EmbeddingScorer or GuidedScorer): The scorer.
        guides (list[Guide]): What it may listen to.
        data (Data): As all that follow, see :func:`fit_guides`.
    """
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    found = scorer
    for guide in guides:
        guide.to(device_of(found))
        best = torch.zeros(2 * known.num_relations, dtype=torch.long)
        if len(weights) > 1:
            tried = [_listen(found, guide, weight) if weight > 0 else found for weight in weights]
            ranks = torch.stack([evaluate(one, data, split="val", known=known).ranks for one in tried], dim=-1)
            relation = split_triples(data, "val")[:, 1].cpu()
            relation = torch.cat([relation, relation + known.num_relations])
            best = best_by_relation(ranks.reciprocal(), relation, len(best), shrinkage)
        chosen = [float(weights[number]) for number in best.tolist()]
        if max(chosen) > 0:
            found = _listen(found, guide, chosen[0] if len(set(chosen)) == 1 else chosen)
    return found


def _listen(scorer: TailScorer, guide: Guide, weight: float | Sequence[float]) -> GuidedScorer:
    assert isinstance(scorer, (EmbeddingScorer, GuidedScorer))
    return GuidedScorer(scorer, guide, weight).to(device_of(scorer))
