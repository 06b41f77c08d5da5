"""Which of several choices is best for each relation."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def best_by_relation(gain: Tensor, relation: Tensor, num_relations: int, shrinkage: float = 0.0) -> Tensor:
    """The choice with the best mean gain for each relation; that which is best over all counts where facts are few.

    Args:
        gain (Tensor): What each choice is worth on some facts, ``[M, S]``.
        relation (Tensor): Relation of each fact, ``[M]``, int64.
        num_relations (int): How many relations there are, directions apart.
        shrinkage (float): As how many facts of a relation the mean over all counts; with ``math.inf`` all relations
            have the same choice. (default: :obj:`0.0`)

    Returns:
        Tensor: Number of the choice, ``[num_relations]`` int64; a relation without a fact has the one that is best over
        all. The smaller number wins a tie.

    Example:
        >>> import torch
        >>> gain = torch.tensor([[1.0, 0.5], [1.0, 0.5], [0.5, 1.0]])
        >>> best_by_relation(gain, torch.tensor([0, 0, 1]), 3)  # relation 2 has no facts
        tensor([0, 1, 0])
        >>> best_by_relation(gain, torch.tensor([0, 0, 1]), 3, shrinkage=10.0)
        tensor([0, 0, 0])
    """
    mean = gain.mean(dim=0)
    if math.isinf(shrinkage):
        return mean.argmax().expand(num_relations)
    total = gain.new_zeros(num_relations, gain.size(1)).index_add_(0, relation, gain) + shrinkage * mean
    seen = torch.bincount(relation, minlength=num_relations) > 0
    total[~seen] = mean
    return total.argmax(dim=-1)
