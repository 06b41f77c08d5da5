"""Where a student is wrong, and sure of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, split_triples
from torch_geometric_dsom.data.triples import with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of, filtered_ranks

SCORE_BYTES = 64 << 20


@dataclass(frozen=True)
class Confusion:
    """A query whose answer a student gets wrong.

    Args:
        entity (int): The query entity.
        relation (int): The relation, in :math:`[0, R)`.
        asked (str): ``"tail"`` for ``(entity, relation, ?)``, ``"head"`` for ``(?, relation, entity)``.
        answer (int): The right answer.
        rank (float): Its filtered rank.
        probability (float): Its probability.
        wrong (int): The entity that the student prefers, which no split knows as an answer.
        wrong_probability (float): Its probability.
        others_best (int, optional): What another scorer prefers, the right answer among the candidates.
        others_rank (float, optional): The filtered rank that it gives to the right answer.
    """

    entity: int
    relation: int
    asked: str
    answer: int
    rank: float
    probability: float
    wrong: int
    wrong_probability: float
    others_best: int | None = None
    others_rank: float | None = None


@torch.no_grad()
def confusions(
    scorer: TailScorer,
    data: Data,
    split: str = "test",
    k: int = 12,
    other: TailScorer | None = None,
    per_relation: int | None = 2,
) -> list[Confusion]:
    """The facts of a split for which a wrong answer has the largest probability, among those that are wrong.

    An answer counts as wrong where no split knows it; a graph that is not complete may do it wrong.

    Args:
        scorer (object): With ``score_tails``.
        data (Data): A graph in the data contract.
        split (str): The split. (default: :obj:`"test"`)
        k (int): How many at most. (default: :obj:`12`)
        other (object, optional): Another scorer, such as the CE-only student, to be asked the same.
        per_relation (int, optional): How many of each relation at most; no limit if :obj:`None`. (default: :obj:`2`)

    Returns:
        list[Confusion]: The surest first, each query once.

    Raises:
        ConfigError: If :obj:`k` or :obj:`per_relation` is below one.
        NonFiniteError: If a score is NaN or infinite.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=1)
        >>> class Fond:
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return torch.tensor([0.0, 0.0, 2.0]).expand(len(head), 3)
        >>> [(found.entity, found.asked, found.answer, found.wrong) for found in confusions(Fond(), data, "train")]
        [(0, 'tail', 1, 2), (1, 'head', 0, 2)]
    """
    for name, value in (("k", k), ("per_relation", per_relation)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected a positive number, got {value}")
    num_relations, known = int(data.num_relations), KnownAnswers.from_data(data)
    facts = with_inverses(split_triples(data, split), num_relations)
    found = [_surest(scorer, part, known) for part in facts.split(max(1, SCORE_BYTES // (4 * int(data.num_nodes))))]
    sure, wrong, own, rank = (torch.cat(values) for values in zip(*found, strict=True))
    picked: list[Confusion] = []
    seen: set[tuple[int, int]] = set()
    count: dict[int, int] = {}
    for number in sure.argsort(descending=True, stable=True).tolist():
        if sure[number] <= own[number] or len(picked) == k:
            continue
        entity, kind, answer = facts[number].tolist()
        relation = kind % num_relations
        if (entity, kind) in seen or (per_relation is not None and count.get(relation, 0) >= per_relation):
            continue
        seen.add((entity, kind))
        count[relation] = count.get(relation, 0) + 1
        asked = "tail" if kind < num_relations else "head"
        numbers = rank[number].item(), own[number].item(), int(wrong[number]), sure[number].item()
        theirs = (None, None) if other is None else _best_and_rank(other, facts[number : number + 1], known)
        picked.append(Confusion(entity, relation, asked, answer, *numbers, *theirs))
    return picked


def _scores(scorer: TailScorer, facts: Tensor) -> Tensor:
    device = device_of(scorer)
    return scorer.score_tails(facts[:, 0].to(device), facts[:, 1].to(device)).float().cpu()


def _surest(scorer: TailScorer, facts: Tensor, known: KnownAnswers) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Probability and number of the likeliest wrong answer, probability and rank of the right one, ``[M]`` each."""
    scores = _scores(scorer, facts)
    row, answer = known.rows(facts[:, 0], facts[:, 1])
    rank = filtered_ranks(scores, facts[:, 2], (row, answer)).realistic
    prob = scores.softmax(dim=-1)
    own = prob.gather(1, facts[:, 2:]).squeeze(1)
    prob[row, answer] = -1.0
    sure, wrong = prob.max(dim=-1)
    return sure, wrong, own, rank


def _best_and_rank(scorer: TailScorer, fact: Tensor, known: KnownAnswers) -> tuple[int, float]:
    scores = _scores(scorer, fact)
    row, answer = known.rows(fact[:, 0], fact[:, 1])
    rank = filtered_ranks(scores, fact[:, 2], (row, answer)).realistic.item()
    scores[0, answer[answer != fact[0, 2]]] = -torch.inf
    return int(scores.argmax()), rank
