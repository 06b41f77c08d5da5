"""Answers with names to queries with names."""

from __future__ import annotations

from typing import NamedTuple

import torch

from torch_geometric_dsom.data import KnownAnswers, Vocabulary
from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.evaluation import TailScorer


class Prediction(NamedTuple):
    """One answer.

    Args:
        rank (int): Place among the answers, from 1.
        entity (int): Row of the entity.
        id (str): Its id.
        label (str): Its label.
        score (float): Score of the student.
        probability (float): Softmax of the scores over all entities.
        known (bool): Whether the fact was there already in the facts that were given.
    """

    rank: int
    entity: int
    id: str
    label: str
    score: float
    probability: float
    known: bool


@torch.inference_mode()
def predict(
    scorer: TailScorer,
    vocabulary: Vocabulary,
    head: str | int | None = None,
    relation: str | int | None = None,
    tail: str | int | None = None,
    k: int = 10,
    known: KnownAnswers | None = None,
    exclude_known: bool = True,
) -> list[Prediction]:
    """The most likely answers to ``(head, relation, ?)`` or ``(?, relation, tail)``.

    Args:
        scorer (object): With ``score_tails``.
        vocabulary (Vocabulary): Names.
        head (str or int, optional): Id, label or row of the head; give this or :obj:`tail`.
        relation (str or int): Id, label or row of the relation.
        tail (str or int, optional): Id, label or row of the tail; give this or :obj:`head`.
        k (int): Number of answers at most. (default: :obj:`10`)
        known (KnownAnswers, optional): Facts that are there already.
        exclude_known (bool): Whether those are left out instead of marked. (default: :obj:`True`)

    Returns:
        list[Prediction]: Best first.

    Raises:
        ConfigError: If a name is unknown, not exactly one of head and tail is given, or ``k`` is below one.
        NonFiniteError: If a score is NaN or infinite.
    """
    if relation is None:
        raise ConfigError("relation: expected an id, a label or a row, got None")
    if (head is None) == (tail is None):
        raise ConfigError(f"head, tail: expected exactly one of them, got head={head!r}, tail={tail!r}")
    if k < 1:
        raise ConfigError(f"k: expected a positive number, got {k}")
    rel = vocabulary.relation(relation)
    if head is not None:
        entity = vocabulary.entity(head)
    else:
        assert tail is not None
        entity, rel = vocabulary.entity(tail), rel + len(vocabulary.relation_ids)
    query = torch.tensor([entity]), torch.tensor([rel])
    device = next((p.device for p in scorer.parameters()), None) if isinstance(scorer, torch.nn.Module) else None
    scores = scorer.score_tails(query[0].to(device), query[1].to(device))[0].float().cpu()
    if not bool(scores.isfinite().all()):
        raise NonFiniteError(f"scorer: gave {int((~scores.isfinite()).sum())} scores that are NaN or infinite")
    probability = scores.softmax(dim=-1)
    seen = torch.zeros(scores.numel(), dtype=torch.bool)
    if known is not None:
        seen[known.rows(*query)[1]] = True
    ranked = scores.masked_fill(seen, -torch.inf) if exclude_known else scores
    count = min(k, int((~seen).sum()) if exclude_known else scores.numel())
    best = ranked.topk(count).indices.tolist()
    return [
        Prediction(
            place,
            row,
            vocabulary.entity_ids[row],
            vocabulary.entity_labels[row],
            scores[row].item(),
            probability[row].item(),
            bool(seen[row]),
        )
        for place, row in enumerate(best, start=1)
    ]
