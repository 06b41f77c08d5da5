"""Ranks with each of several weights of a guide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.known_answers import KnownAnswers
from torch_geometric_dsom.data.triples import with_inverses
from torch_geometric_dsom.evaluation.fact_batches import fact_batches, facts_to_rank
from torch_geometric_dsom.evaluation.ranking import filtered_ranks
from torch_geometric_dsom.evaluation.scoring import SCORE_BYTES, ScoreBuffer, TailScorer, evaluation_mode


def weighted_ranks(
    scorer: TailScorer,
    guide: TailScorer,
    weights: Sequence[float],
    data: Data,
    split: str = "val",
    known: KnownAnswers | None = None,
) -> Tensor:
    r"""Filtered ranks, ties realistic, by :math:`z + w \, e` for several weights :math:`w`; both are asked once.

    Args:
        scorer (object): Gives :math:`z`, with ``score_tails(head, rel) -> [B, N]``.
        guide (object): Gives :math:`e`, likewise.
        weights (list[float]): The weights.
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"val"`)
        known (KnownAnswers, optional): What is left out; the facts of all splits if :obj:`None`.

    Returns:
        Tensor: ``[S, 2V]``, float64, in the order of the facts, tails before heads.

    Raises:
        DataError: If the split is empty, or scores have another shape than ``[B, N]``.
        NonFiniteError: If a sum is NaN or infinite.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=2, num_relations=1)
        >>> class Always:
        ...     def __init__(self, scores):
        ...         self.scores = torch.tensor(scores)
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return self.scores.expand(head.numel(), 2)
        >>> weighted_ranks(Always([1.0, 0.0]), Always([0.0, 1.0]), [0.0, 2.0], data, split="train").tolist()
        [[2.0, 1.0], [1.0, 2.0]]
    """
    triples, known = facts_to_rank(data, split, known)
    size = min(max(1, SCORE_BYTES // (4 * known.num_entities)), len(triples))
    ask, tell = (ScoreBuffer(one, known.num_entities, size) for one in (scorer, guide))
    ranks = torch.zeros(len(weights), 2 * len(triples), dtype=torch.float64)
    sums: Tensor | None = None
    head, relation, target = with_inverses(triples, known.num_relations).unbind(dim=-1)
    with evaluation_mode(scorer), evaluation_mode(guide), torch.inference_mode():
        for batch in fact_batches(head, relation, target, known, size):
            scores, evidence = ask(batch.head, batch.relation), tell(batch.head, batch.relation)
            at = batch.to(scores.device)
            sums = torch.empty_like(scores) if sums is None else sums  # the first batch is the largest
            for found, weight in zip(ranks, weights, strict=True):
                sum_ = torch.add(scores, evidence, alpha=weight, out=sums[: len(scores)])
                of = filtered_ranks(sum_, at.target, at.known, at.row, in_place=True)
                found[batch.fact.cpu()] = of.realistic.cpu()
    return ranks
