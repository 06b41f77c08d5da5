"""Teachers that are not chosen by an agent but by a rule: the baselines of every choice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import ALONE, World, rand_rows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler.best_by_relation import best_by_relation
from torch_geometric_dsom.sampler.choice import TeacherChoice
from torch_geometric_dsom.sampler.subsets import all_subsets


class RuleSampler(nn.Module):
    """What the rules share: they take the place of :class:`TeacherSampler`, and learn nothing."""

    num_teachers: int

    def sample(
        self,
        state: Tensor,
        available: Tensor | None = None,
        greedy: bool = False,
        around: tuple[int, int] = (0, 0),
    ) -> TeacherChoice:
        """The teachers of the rule where they are available; see :meth:`TeacherSampler.sample`."""
        if available is None:
            available = torch.ones(state.size(0), self.num_teachers, dtype=torch.bool, device=state.device)
        action, shares = self.rule(state, around)
        return TeacherChoice(action & available, state.new_zeros(state.size(0)), state, available, shares)

    def rule(self, state: Tensor, around: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor | None]:
        """Which teachers to take, ``[B, K]`` bool, and with which shares, ``[B, K]``, if not equal ones."""
        raise NotImplementedError

    def update(self, choice: TeacherChoice, reward: Tensor, world: World = ALONE) -> dict[str, float]:
        """Learns nothing."""
        return {}


class StaticSampler(RuleSampler):
    """Takes the same teachers everywhere, or takes them by lot, behind the interface of :class:`TeacherSampler`.

    Args:
        num_teachers (int): Number of teachers :math:`K`.
        chosen (list[int], optional): Numbers of the teachers to take; all of them if :obj:`None`.
        prob (float): Probability of each of them to be taken, in :math:`(0, 1]`. (default: :obj:`1.0`)
        generator (torch.Generator, optional): Source of the lots; a new one seeded with 0 if :obj:`None`.

    Raises:
        ConfigError: If a number or the probability is out of range.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import StaticSampler
        >>> StaticSampler(3, chosen=[0, 2]).sample(torch.zeros(1, 4)).action
        tensor([[ True, False,  True]])
    """

    def __init__(
        self,
        num_teachers: int,
        chosen: Sequence[int] | None = None,
        prob: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        chosen = range(num_teachers) if chosen is None else chosen
        if num_teachers < 1 or any(not 0 <= k < num_teachers for k in chosen):
            raise ConfigError(f"chosen: expected numbers in [0, {num_teachers}), got {list(chosen)}")
        if not 0.0 < prob <= 1.0:
            raise ConfigError(f"prob: expected a probability in (0, 1], got {prob}")
        self.prob = prob
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        self.num_teachers = num_teachers
        self.chosen = tuple(chosen)
        mask = torch.zeros(num_teachers, dtype=torch.bool)
        mask[list(chosen)] = True
        self.register_buffer("mask", mask)
        self.mask: Tensor

    def rule(self, state: Tensor, around: tuple[int, int] = (0, 0)) -> tuple[Tensor, None]:
        """The given teachers, each by lot where a probability is given."""
        action = self.mask.expand(state.size(0), -1)
        if self.prob < 1.0:
            lots = rand_rows(tuple(action.shape), self.generator, around)
            action = action & (lots < self.prob).to(action.device)
        return action, None

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_teachers={self.num_teachers}, chosen={list(self.chosen)}, prob={self.prob}"


class RelationSampler(RuleSampler):
    """Takes for each relation a set that was fixed beforehand, such as the best one on validation facts.

    Args:
        sets (Tensor): The set of each relation, ``[2R, K]`` bool; see :func:`best_sets`.
        columns (slice): Columns of the state in which the relation stands one-hot, such as
            ``SelectionState.columns("relation")``.

    Raises:
        ConfigError: If the table is not one of bool rows, or the columns are not as many as relations.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import RelationSampler
        >>> sampler = RelationSampler(torch.tensor([[True, False], [True, True]]), slice(0, 2))
        >>> sampler.sample(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).action
        tensor([[ True,  True],
                [ True, False]])
    """

    def __init__(self, sets: Tensor, columns: slice) -> None:
        super().__init__()
        if sets.dim() != 2 or sets.dtype != torch.bool:
            raise ConfigError(f"sets: expected a bool table [2R, K], got {sets.dtype} {list(sets.shape)}")
        if columns.stop - columns.start != sets.size(0):
            raise ConfigError(f"columns: expected {sets.size(0)} of them, got {columns.stop - columns.start}")
        self.num_teachers = sets.size(1)
        self.columns = columns
        self.register_buffer("sets", sets)
        self.sets: Tensor

    def rule(self, state: Tensor, around: tuple[int, int] = (0, 0)) -> tuple[Tensor, None]:
        """The relation's set."""
        return self.sets[state[:, self.columns].argmax(dim=-1)], None

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_teachers={self.num_teachers}, relations={self.sets.size(0)}"


class ConfidenceSampler(RuleSampler):
    r"""Takes all teachers, each with a share that grows with how sure it is.

    .. math::
        w_k = \frac{c_k^\gamma}{\sum_j c_j^\gamma}

    with the confidence :math:`c_k`, such as the largest probability that teacher :math:`k` gives.

    Args:
        num_teachers (int): Number of teachers :math:`K`.
        columns (slice): Columns of the state that hold each teacher's confidence, not below zero, such as
            ``SelectionState.columns("max_prob")``.
        power (float): :math:`\gamma \ge 0`; 0 is the plain average. (default: :obj:`1.0`)

    Raises:
        ConfigError: If the columns are not as many as teachers or the power is negative.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import ConfidenceSampler
        >>> ConfidenceSampler(2, slice(0, 2)).sample(torch.tensor([[0.9, 0.3]])).mixture
        tensor([[0.7500, 0.2500]])
    """

    def __init__(self, num_teachers: int, columns: slice, power: float = 1.0) -> None:
        super().__init__()
        if columns.stop - columns.start != num_teachers:
            raise ConfigError(f"columns: expected {num_teachers} of them, got {columns.stop - columns.start}")
        if not power >= 0:
            raise ConfigError(f"power: expected zero or a positive number, got {power}")
        self.num_teachers = num_teachers
        self.columns = columns
        self.power = power

    def rule(self, state: Tensor, around: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
        """All teachers, and their shares."""
        confidence = state[:, self.columns].clamp_min(torch.finfo(state.dtype).tiny)
        return torch.ones_like(confidence, dtype=torch.bool), confidence**self.power

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_teachers={self.num_teachers}, power={self.power}"


def best_sets(reward: Tensor, relation: Tensor, num_relations: int) -> Tensor:
    """For each relation the set of teachers with the best mean reward.

    Args:
        reward (Tensor): Rewards of all subsets on some facts, ``[M, 2^K]``.
        relation (Tensor): Relation in :math:`[0, 2R)` of each fact, ``[M]``, int64.
        num_relations (int): Number of relations :math:`2R`, inverse ones counted.

    Returns:
        Tensor: ``[2R, K]`` bool; a relation without a fact has the set that is best over all facts. The smaller number
        wins a tie.

    Example:
        >>> import torch
        >>> reward = torch.tensor([[0.0, 1.0, 0.0, 0.5], [0.0, 0.0, 1.0, 0.9]])  # of {}, {0}, {1}, {0, 1}
        >>> best_sets(reward, torch.tensor([0, 1]), num_relations=3).int().tolist()
        [[1, 0], [0, 1], [1, 1]]
    """
    subsets = all_subsets(reward.size(1).bit_length() - 1, reward.device)
    return subsets[best_by_relation(reward, relation, num_relations)]
