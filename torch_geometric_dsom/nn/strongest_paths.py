"""The paths by which messages reach an answer: why a network of paths thinks of it."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from torch_geometric_dsom.nn.path_layer import Messages
from torch_geometric_dsom.nn.path_scorer import PathScorer


class Path(NamedTuple):
    """A path from a query entity to an answer.

    Args:
        relations (tuple[int, ...]): The relations that it walks along, in :math:`[0, 2R)`.
        entities (tuple[int, ...]): The entities that it runs through, the query entity first and the answer last.
        weight (float): Product of the weights of its messages, in :math:`(0, 1)`.
    """

    relations: tuple[int, ...]
    entities: tuple[int, ...]
    weight: float


def strongest_paths(scorer: PathScorer, head: int, relation: int, tail: int, most: int = 3) -> list[Path]:
    r"""The paths from a query entity to an answer whose messages are listened to most.

    A path is as strong as the product of the weights :math:`\sigma(\cdot)` of its messages, see
    :class:`PathScorer`, those of steps that stay where they are included. Of two that differ in when they stay the
    stronger counts. It tells what was listened to, not whether it spoke for the answer.

    Args:
        scorer (PathScorer): A trained one.
        head (int): Query entity.
        relation (int): In :math:`[0, 2R)`.
        tail (int): Answer.
        most (int): How many paths at most. (default: :obj:`3`)

    Returns:
        list[Path]: The strongest first; none where the answer is not reached.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 1]), num_nodes=3)
        >>> data.num_relations = 2
        >>> [path.entities for path in strongest_paths(PathScorer.from_data(data, layers=2), 0, 1, 2)]
        [(0, 1, 2)]
    """
    steps = scorer.messages(head, relation)
    best = _best(steps, head)
    arriving = [_by_target(step) for step in steps]
    stay, found = 2 * scorer.num_relations, dict[tuple[tuple[int, ...], tuple[int, ...]], float]()
    # Backwards from the answer, the one first that can still become the strongest: the next to arrive is the next best.
    queue = [(-best[len(steps)].get(tail, 0.0), len(steps), (), (tail,), 1.0)]
    while queue and len(found) < most:
        bound, step, relations, entities, weight = heapq.heappop(queue)
        if bound == 0.0:
            break
        if step == 0:
            found.setdefault((relations, entities), weight)
            continue
        for source, kind, value in arriving[step - 1].get(entities[0], ()):
            moved = ((kind, *relations), (source, *entities)) if kind != stay else (relations, entities)
            strength = weight * value
            heapq.heappush(queue, (-strength * best[step - 1].get(source, 0.0), step - 1, *moved, strength))
    return [Path(relations, entities, weight) for (relations, entities), weight in found.items()]


def _best(steps: list[Messages], head: int) -> list[dict[int, float]]:
    """The weight of the strongest path to each entity, after each number of steps."""
    best = [{head: 1.0}]
    for step in steps:
        reached: dict[int, float] = {}
        for source, target, value in zip(step.source.tolist(), step.target.tolist(), step.weight.tolist(), strict=True):
            reached[target] = max(reached.get(target, 0.0), best[-1][source] * value)
        best.append(reached)
    return best


def _by_target(step: Messages) -> dict[int, list[tuple[int, int, float]]]:
    """Source, relation and weight of the messages to each entity."""
    arriving: dict[int, list[tuple[int, int, float]]] = {}
    rows = (part.tolist() for part in step)
    for source, kind, target, value in zip(*rows, strict=True):
        arriving.setdefault(target, []).append((source, kind, value))
    return arriving
