"""Ranks the facts of a split with any scorer: filtered, both directions, each query scored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation.metrics import DIRECTIONS, RankingMetrics, RankingResult
from torch_geometric_dsom.evaluation.ranking import filtered_ranks

TIES = ("realistic", "optimistic", "pessimistic")
SCORE_BYTES = 64 << 20


class TailScorer(Protocol):
    """Anything that scores all entities as answers."""

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Scores ``[B, N]`` of queries with relations in ``[0, 2R)``."""


@torch.inference_mode()
def evaluate(
    scorer: TailScorer,
    data: Data,
    split: str = "test",
    batch_size: int | None = None,
    known: KnownAnswers | None = None,
    directions: Sequence[str] = ("tail", "head"),
    ties: str = "realistic",
) -> RankingResult:
    r"""Filtered ranking metrics of a scorer on a split.

    A fact :math:`(h, r, t)` is asked as :math:`(h, r, ?)` and, for its head, as :math:`(t, r + R, ?)`. Other known
    answers of a query are left out. Queries that occur in several facts are scored once.

    Args:
        scorer (object): With ``score_tails(head, rel) -> [B, N]``, relations in :math:`[0, 2R)`.
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"test"`)
        batch_size (int, optional): Queries scored together; so many that their scores take 64 MiB if :obj:`None`.
        known (KnownAnswers, optional): What is left out; the facts of all splits if :obj:`None`.
        directions (list[str]): Which of ``"tail"`` and ``"head"`` to ask for. (default: both)
        ties (str): ``"realistic"``, ``"optimistic"`` or ``"pessimistic"``. (default: :obj:`"realistic"`)

    Returns:
        RankingResult: MRR, hits, mean rank, by direction; ranks in the order of the facts, one direction after the
        other.

    Raises:
        ConfigError: If an argument is unknown.
        DataError: If the split is empty or the scores have another shape than ``[B, N]``.
        NonFiniteError: If a score is NaN or infinite.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from torch_geometric_dsom.evaluation import evaluate
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3)
        >>> data.num_relations = 1
        >>> class Constant:
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return torch.zeros(head.numel(), 3)
        >>> evaluate(Constant(), data, split="train").mean_rank  # three tied entities
        2.0
    """
    if ties not in TIES:
        raise ConfigError(f"ties: expected one of {list(TIES)}, got '{ties}'")
    if not directions or any(direction not in DIRECTIONS for direction in directions):
        raise ConfigError(f"directions: expected some of {list(DIRECTIONS)}, got {list(directions)}")
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
    triples = split_triples(data, split)
    if triples.size(0) == 0:
        raise DataError(f"split: '{split}' has no facts")
    num_entities, num_relations = int(data.num_nodes), int(data.num_relations)
    batch_size = batch_size or max(1, SCORE_BYTES // (4 * num_entities))
    known = known if known is not None else KnownAnswers.from_data(data)
    device = _device(scorer)
    was_training = scorer.training if isinstance(scorer, nn.Module) else False
    if isinstance(scorer, nn.Module):
        scorer.eval()
    metrics = RankingMetrics()
    try:
        for direction in directions:
            head, relation, tail = triples.unbind(dim=-1)
            if direction == "head":
                head, relation, tail = tail, relation + num_relations, head
            query, row = torch.stack([head, relation], dim=-1).unique(dim=0, return_inverse=True)
            order = row.argsort(stable=True)
            ranks = torch.empty(row.numel(), dtype=torch.float64)
            bounds = torch.searchsorted(row[order], torch.arange(0, query.size(0) + batch_size, batch_size))
            for number, part in enumerate(query.split(batch_size)):
                fact = order[bounds[number] : bounds[number + 1]]
                scores = scorer.score_tails(part[:, 0].to(device), part[:, 1].to(device))
                if scores.shape != (part.size(0), num_entities):
                    raise DataError(
                        f"scorer: expected scores [{part.size(0)}, {num_entities}] of its score_tails, "
                        f"got {list(scores.shape)}"
                    )
                known_row, answer = (x.to(scores.device) for x in known.rows(part[:, 0], part[:, 1]))
                own_row, target = (x.to(scores.device) for x in (row[fact] - number * batch_size, tail[fact]))
                found = filtered_ranks(scores, own_row, target, known_row, answer, in_place=True)
                ranks[fact] = getattr(found, ties).cpu()
            metrics.update(ranks, direction)
    finally:
        if isinstance(scorer, nn.Module):
            scorer.train(was_training)
    return metrics.compute()


def _device(scorer: TailScorer) -> torch.device | None:
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return None if parameter is None else parameter.device
