"""Frozen scorers that listen to guides: rules, and entities that resemble."""

from __future__ import annotations

from collections.abc import Sequence

from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of, evaluate
from torch_geometric_dsom.nn import EmbeddingScorer, Guide, GuidedScorer, RidgeScorer, RuleScorer, Scorer

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
    scorer: Scorer, data: Data, weights: Sequence[float] = WEIGHTS, kinds: Sequence[str] = ()
) -> EmbeddingScorer | GuidedScorer:
    r"""A trained scorer, asked together with rules and resembling entities: another model, at no further training.

    Weights are tried one guide after the other, :class:`~torch_geometric_dsom.nn.RuleScorer` first, then
    :class:`~torch_geometric_dsom.nn.RidgeScorer`; the MRR of validation facts chooses, filtered by training and
    validation facts, so that no test fact is read. By default the guides see structure alone: a student that needs no
    modality needs none with them.

    Args:
        scorer (Scorer): Such as the student of :class:`~torch_geometric_dsom.DSoMTrainer`.
        data (Data): A graph in the data contract, with validation facts.
        weights (list[float]): What is tried. (default: :obj:`(0.0, 0.5, 1.0, 2.0, 3.0)`)
        kinds (list[str]): Which modalities the resembling entities are told by as well. (default: :obj:`()`)

    Returns:
        GuidedScorer: The scorer with its guides; as plain tables where validation prefers none.

    Raises:
        ConfigError: If no weight is given, or one is negative, or the graph lacks a modality.
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
    known = KnownAnswers.from_data(data, splits=("train", "val"))
    found: EmbeddingScorer | GuidedScorer = scorer.freeze()
    guides: list[Guide] = [RuleScorer.from_data(data), RidgeScorer.from_data(data, kinds=kinds)]
    for guide in guides:
        guide.to(device_of(found))
        tried = [_listen(found, guide, weight) if weight > 0 else found for weight in weights]
        found = (
            max(tried, key=lambda one: evaluate(one, data, split="val", known=known).mrr)
            if len(tried) > 1
            else tried[0]
        )
    return found


def _listen(scorer: TailScorer, guide: Guide, weight: float) -> GuidedScorer:
    assert isinstance(scorer, (EmbeddingScorer, GuidedScorer))
    return GuidedScorer(scorer, guide, weight)
