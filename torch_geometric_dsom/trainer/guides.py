"""Frozen scorers that listen to guides: rules, entities that resemble, how often an entity answers, and paths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of, fit_temperature, weighted_ranks
from torch_geometric_dsom.nn import GUIDES, EmbeddingScorer, Guide, GuidedScorer, PathScorer, RidgeScorer, Scorer
from torch_geometric_dsom.sampler import best_by_relation
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.paths import fit_paths

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
OPTIONS = {  # of the fused teacher
    "rules": "rule_weight",
    "ridge": "ridge_weight",
    "frequency": "frequency_weight",
    "paths": "path_weight",
}
UNTRAINED = ("rules", "ridge", "frequency")


def guide_weights(config: DSoMConfig) -> dict[str, float]:
    """What a configuration makes the fused teacher listen to, by name, in the order in which it does.

    Args:
        config (DSoMConfig): The configuration.

    Example:
        >>> guide_weights(DSoMConfig(ridge_weight=2.0))
        {'rules': 0.0, 'ridge': 2.0, 'frequency': 0.0, 'paths': 0.0}
    """
    return {name: getattr(config, option) for name, option in OPTIONS.items()}


def guided(
    scorer: TailScorer, data: Data, weights: Mapping[str, float], trained: Mapping[str, Guide] = MappingProxyType({})
) -> TailScorer:
    """A frozen scorer that listens to guides of a graph as well, where these have a weight.

    Args:
        scorer (EmbeddingScorer or GuidedScorer): The scorer, such as the product of experts.
        data (Data): A graph in the data contract.
        weights (dict[str, float]): Weight of each guide, see :func:`guide_weights`; none is made of those of 0.
        trained (dict[str, Guide]): Those that are there already. (default: none)
    """
    for name, weight in weights.items():
        if weight > 0:
            guide = trained[name] if name in trained else make_guide(name, data)
            guide = guide.to(device_of(scorer))
            scorer = _listen(scorer, guide.solve() if isinstance(guide, RidgeScorer) else guide, weight)
    return scorer


def calibrated(scorer: TailScorer, data: Data) -> TailScorer:
    """A guided scorer at the temperature at which validation facts are likeliest; any other one as it is.

    Args:
        scorer (TailScorer): Such as what :func:`guided` gives.
        data (Data): A graph in the data contract, with validation facts.

    Raises:
        DataError: If there are no validation facts.
    """
    if not isinstance(scorer, GuidedScorer):
        return scorer
    temperature = scorer.temperature * fit_temperature(scorer, data)
    return GuidedScorer(scorer.scorer, scorer.guide, scorer.weight, temperature).to(device_of(scorer))


def fit_guides(
    scorer: Scorer,
    data: Data,
    weights: Sequence[float] = WEIGHTS,
    kinds: Sequence[str] | None = (),
    shrinkage: float = math.inf,
    guides: Sequence[str | Guide] = UNTRAINED,
) -> EmbeddingScorer | GuidedScorer:
    r"""A trained scorer, asked together with guides such as rules and counts: another model, trained no further.

    Weights are tried one guide after the other, by default :class:`~torch_geometric_dsom.nn.RuleScorer` first, then
    :class:`~torch_geometric_dsom.nn.RidgeScorer` and :class:`~torch_geometric_dsom.nn.FrequencyScorer`: the one with
    which validation facts :math:`V` are ranked best, or, with a finite shrinkage, for each relation and direction
    :math:`r` the one that ranks its own, :math:`V_r`, best. Few facts tell little, so that the mean over all counts as
    :math:`s` of them:

    .. math::
        w_r = \operatorname*{arg\,max}_w \sum_{f \in V_r} \frac{1}{\rho_w(f)}
            + \frac{s}{|V|} \sum_{f \in V} \frac{1}{\rho_w(f)}

    Ranks :math:`\rho_w` are filtered by training and validation facts, so that no test fact is read. By default the
    guides see structure alone: a student that needs no modality needs none with them.

    Args:
        scorer (Scorer): Such as the student of :class:`~torch_geometric_dsom.DSoMTrainer`.
        data (Data): A graph in the data contract, with validation facts.
        weights (list[float]): What is tried. (default: :obj:`(0.0, 0.25, 0.5, 1.0, 2.0, 3.0)`)
        kinds (list[str], optional): Which modalities the resembling entities are told by as well; all that the graph
            has if :obj:`None`. (default: :obj:`()`)
        shrinkage (float): The facts :math:`s`, a positive number such as 20; with ``math.inf`` all relations have the
            same weight. (default: :obj:`math.inf`)
        guides (list[str or Guide]): Which of ``"rules"``, ``"ridge"``, ``"frequency"`` and ``"paths"`` are tried, each
            once, in the order given, by name or made already. The second takes :math:`4 N^2` bytes, the last is
            trained, see :func:`~torch_geometric_dsom.trainer.fit_paths`. (default: all but the last, in this order)

    Returns:
        GuidedScorer: The scorer with its guides; as plain tables where validation prefers none.

    Raises:
        ConfigError: If no weight is given, or one is negative, or the shrinkage is not positive, or a guide is
            unknown or there twice, or the graph lacks a modality.
        DataError: If there are several weights and no validation facts.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> all_of_them = fit_guides(ComplEx(60, 2, rank=4), data, weights=[1.0])
        >>> all_of_them.scorer.guide, all_of_them.guide
        (RidgeScorer(60, 2, facts=180), FrequencyScorer(60, 2))
    """
    if not len(weights) or not min(weights) >= 0:
        raise ConfigError(f"weights: expected some, zero or positive, got {list(weights)}")
    if not shrinkage > 0:
        raise ConfigError(f"shrinkage: expected a positive number, got {shrinkage}")
    names = [guide.name if isinstance(guide, Guide) else guide for guide in guides]
    if not set(names) <= set(OPTIONS) or len(set(names)) < len(names):
        raise ConfigError(f"guides: expected some of {list(OPTIONS)}, each once, got {names}")
    told = [guide if isinstance(guide, Guide) else make_guide(guide, data, kinds) for guide in guides]
    return listen(scorer.freeze(), told, data, weights, shrinkage)


def make_guide(name: str, data: Data, kinds: Sequence[str] | None = None) -> Guide:
    """A guide of a graph by its name.

    Args:
        name (str): ``"rules"``, ``"ridge"``, ``"frequency"`` or ``"paths"``, which is trained first.
        data (Data): A graph in the data contract.
        kinds (list[str], optional): Which modalities the resembling entities are told by as well; all that the graph
            has if :obj:`None`.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> make_guide("frequency", data)
        FrequencyScorer(60, 2)
    """
    if name == PathScorer.name:
        return fit_paths(PathScorer.from_data(data), data)
    return RidgeScorer.from_data(data, kinds=kinds) if name == RidgeScorer.name else GUIDES[name].from_data(data)


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
            ranks = weighted_ranks(found, guide, weights, data, known=known)
            relation = split_triples(data, "val")[:, 1].cpu()
            relation = torch.cat([relation, relation + known.num_relations])
            best = best_by_relation(ranks.reciprocal().T, relation, len(best), shrinkage)
        chosen = [float(weights[number]) for number in best.tolist()]
        if max(chosen) > 0:
            found = _listen(found, guide, chosen[0] if len(set(chosen)) == 1 else chosen)
    return found


def _listen(scorer: TailScorer, guide: Guide, weight: float | Sequence[float]) -> GuidedScorer:
    assert isinstance(scorer, (EmbeddingScorer, GuidedScorer))
    return GuidedScorer(scorer, guide, weight).to(device_of(scorer))
