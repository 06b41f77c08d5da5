"""Ranks the facts of a split with any scorer: filtered, both directions, each query scored once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.known_answers import KnownAnswers
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation.fact_batches import fact_batches, facts_to_rank
from torch_geometric_dsom.evaluation.metrics import DIRECTIONS, RankingMetrics, RankingResult
from torch_geometric_dsom.evaluation.ranking import filtered_ranks
from torch_geometric_dsom.evaluation.scoring import SCORE_BYTES, ScoreBuffer, TailScorer, evaluation_mode
from torch_geometric_dsom.evaluation.sharded_ranking import sharded_ranks
from torch_geometric_dsom.nn import ShardedScorer

TIES = ("realistic", "optimistic", "pessimistic")


def evaluate(
    scorer: TailScorer,
    data: Data,
    split: str = "test",
    batch_size: int | None = None,
    known: KnownAnswers | None = None,
    directions: Sequence[str] = ("tail", "head"),
    ties: str = "realistic",
    world: World = ALONE,
) -> RankingResult:
    r"""Filtered ranking metrics of a scorer on a split.

    A fact :math:`(h, r, t)` is asked as :math:`(h, r, ?)` and, for its head, as :math:`(t, r + R, ?)`. Other known
    answers of a query are left out. Queries that occur in several facts are scored once.

    Args:
        scorer (object): With ``score_tails(head, rel) -> [B, N]``, relations in :math:`[0, 2R)`. A module is put into
            evaluation mode meanwhile.
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"test"`)
        batch_size (int, optional): Queries scored together; so many that their scores take 64 MiB if :obj:`None`.
        known (KnownAnswers, optional): What is left out; the facts of all splits if :obj:`None`.
        directions (list[str]): Which of ``"tail"`` and ``"head"`` to ask for. (default: both)
        ties (str): ``"realistic"``, ``"optimistic"`` or ``"pessimistic"``. (default: :obj:`"realistic"`)
        world (World): Processes that share the queries and have the same scorer; all of them get all ranks, the same
            as one process would. Those that share a :class:`~torch_geometric_dsom.nn.ShardedScorer` need not be told.
            (default: this one alone)

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
    directions = (directions,) if isinstance(directions, str) else directions
    if ties not in TIES:
        raise ConfigError(f"ties: expected one of {list(TIES)}, got '{ties}'")
    if not directions or len(set(directions)) < len(directions) or not set(directions) <= set(DIRECTIONS):
        raise ConfigError(f"directions: expected some of {list(DIRECTIONS)}, each once, got {list(directions)}")
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
    triples, known = facts_to_rank(data, split, known)
    batch_size = min(batch_size or max(1, SCORE_BYTES // (4 * known.num_entities)), triples.size(0))
    score = ScoreBuffer(scorer, known.num_entities, batch_size)
    if isinstance(scorer, ShardedScorer):
        world = ALONE  # every process ranks every query among its own entities
    metrics = RankingMetrics()
    head, relation, tail = triples.unbind(dim=-1)
    asked = {"tail": (head, relation, tail), "head": (tail, relation + known.num_relations, head)}
    with evaluation_mode(scorer):
        for direction in directions:
            metrics.update(_ranks(score, *asked[direction], known, ties, world), direction)
    return metrics.compute()


def _ranks(
    score: ScoreBuffer, head: Tensor, relation: Tensor, target: Tensor, known: KnownAnswers, ties: str, world: World
) -> Tensor:
    """Ranks of the targets of queries, in their order; queries that are alike share one row of scores."""
    ranks = torch.zeros(target.numel(), dtype=torch.float64)
    with torch.inference_mode():
        for batch in fact_batches(head, relation, target, known, score.batch_size, world):
            scores = score(batch.head, batch.relation)
            at = batch.to(scores.device)
            if score.shard is not None:
                found = sharded_ranks(scores, at.target, at.known, at.row, score.shard)
            else:
                found = filtered_ranks(scores, at.target, at.known, at.row, in_place=True)
            ranks[batch.fact.cpu()] = getattr(found, ties).cpu()
    return world.sum_(ranks)
