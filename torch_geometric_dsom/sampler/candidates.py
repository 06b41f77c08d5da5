"""Some entities that stand for all of them, where there are too many to score each for every query."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.errors import ConfigError


class Candidates:
    r"""The entities that the queries of a batch are scored against, each standing for :math:`w_c` entities.

    Adding :math:`\tau \log w_c` to logits turns a softmax with temperature :math:`\tau` over candidates into an
    estimate of the softmax over all entities: the sum of exponentials has the right expectation. Its logarithm, and
    with it cross-entropy, does not: by Jensen's inequality it is too small, to second order by
    :math:`\mathrm{Var}(\hat Z) / (2 Z^2)`, which vanishes as more are drawn.

    Args:
        entity (Tensor, optional): The candidates, ``[C]`` int64, ascending; all entities if :obj:`None`.
        log_weight (Tensor, optional): :math:`\log w_c`, ``[C]``; with all entities :obj:`None`.

    Example:
        >>> import torch
        >>> some = Candidates(torch.tensor([2, 5, 7]), torch.tensor([0.0, 1.0, 0.0]))
        >>> some.place(torch.tensor([7, 2]))
        tensor([2, 0])
        >>> some.weigh_(torch.zeros(1, 3), temperature=2.0)
        tensor([[0., 2., 0.]])
    """

    def __init__(self, entity: Tensor | None = None, log_weight: Tensor | None = None) -> None:
        self.entity = entity
        self.log_weight = log_weight

    def place(self, entity: Tensor) -> Tensor:
        """Where entities stand among the candidates; they have to."""
        return entity if self.entity is None else torch.searchsorted(self.entity, entity)

    def columns(self, entity: Tensor) -> tuple[Tensor, Tensor]:
        """Which entities are among the candidates, and in which columns of their logits; any for the others."""
        if self.entity is None:
            return torch.ones_like(entity, dtype=torch.bool), entity
        place = torch.searchsorted(self.entity, entity).clamp_max(self.entity.numel() - 1)
        return self.entity[place] == entity, place

    def groups(self, groups: GroupRows) -> GroupRows:
        """Groups of entities as groups of columns; those that are no candidates are left out."""
        if self.entity is None:
            return groups
        there, column = self.columns(groups.entity)
        return GroupRows(groups.row[there], column[there], groups.num_rows)

    def weigh_(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Adds temperature times logarithmic weight to logits ``[..., C]``."""
        return logits if self.log_weight is None else logits.add_(self.log_weight, alpha=temperature)

    def each_(self, prob: Tensor) -> Tensor:
        """From what a candidate stands for to its own share, ``[..., C]``."""
        return prob if self.log_weight is None else prob.mul_((-self.log_weight).exp())

    def to(self, device: torch.device | str) -> Candidates:
        """The same candidates on another device."""
        if self.entity is None or self.log_weight is None:
            return self
        return Candidates(self.entity.to(device), self.log_weight.to(device))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'all' if self.entity is None else self.entity.numel()})"


ALL = Candidates()


class CandidateSampler:
    r"""Takes the entities that must be there, and draws some of the others to stand for these.

    Those are drawn evenly and without replacement; each stands for :math:`w = (N - M) / m`, with :math:`M` that must be
    there and :math:`m` drawn. The more of the probability the former hold, the smaller the variance.

    Args:
        num_entities (int): Number of entities :math:`N`.
        size (int): How many are drawn, :math:`m`.
        generator (torch.Generator, optional): Source of the draws; a new one seeded with 0 if :obj:`None`.

    Raises:
        ConfigError: If the size is below one.

    Example:
        >>> import torch
        >>> some = CandidateSampler(num_entities=100, size=9).sample(torch.tensor([3, 50, 3]))
        >>> some.entity.numel(), round(float(some.log_weight.exp().sum()), 3)
        (11, 100.0)
    """

    def __init__(self, num_entities: int, size: int, generator: torch.Generator | None = None) -> None:
        if size < 1:
            raise ConfigError(f"size: expected a positive number, got {size}")
        self.num_entities = num_entities
        self.size = size
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)

    def sample(self, required: Tensor) -> Candidates:
        """Draws candidates.

        Args:
            required (Tensor): Entities that must be among them, int64, in any order; they may repeat.
        """
        other = torch.ones(self.num_entities, dtype=torch.bool, device=required.device)
        other[required] = False
        others = other.nonzero().flatten()
        drawn = torch.randperm(others.numel(), generator=self.generator)[: self.size].to(required.device)
        log_weight = torch.zeros(self.num_entities, device=required.device)
        if drawn.numel() > 0:
            log_weight[others[drawn]] = torch.tensor(others.numel() / drawn.numel()).log().to(required.device)
            other[others[drawn]] = False
        entity = (~other).nonzero().flatten()
        return Candidates(entity, log_weight[entity])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(entities={self.num_entities}, size={self.size})"
