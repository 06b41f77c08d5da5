"""Distributions over sets of teachers, given by logits: what an agent's network puts out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import rand_rows
from torch_geometric_dsom.sampler.subsets import all_subsets, subset_index


class Policy(ABC):
    """A family of distributions over sets of teachers; it holds no parameter.

    Args:
        num_teachers (int): Number of teachers :math:`K`.
    """

    def __init__(self, num_teachers: int) -> None:
        self.num_teachers = num_teachers

    @property
    @abstractmethod
    def num_logits(self) -> int:
        """How many logits give one distribution."""

    @abstractmethod
    def initial(self, prob: float) -> Tensor:
        """Logits ``[num_logits]`` under which each teacher is taken with a probability, independently."""

    @abstractmethod
    def log_prob(self, logits: Tensor, action: Tensor, available: Tensor) -> Tensor:
        """Log-probability ``[B]`` of the sets ``[B, K]``, where unavailable teachers are never taken."""

    @abstractmethod
    def all_log_prob(self, logits: Tensor, available: Tensor) -> Tensor:
        """Log-probability ``[B, 2^K]`` of all subsets; minus infinity with an unavailable teacher."""

    @abstractmethod
    def entropy(self, logits: Tensor, available: Tensor) -> Tensor:
        """Entropy in nats, ``[B]``."""

    @abstractmethod
    def draw(
        self, logits: Tensor, available: Tensor, generator: torch.Generator, around: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Sets ``[B, K]`` bool, drawn where the generator lives, so that a run is the same on every device."""

    @abstractmethod
    def greedy(self, logits: Tensor, available: Tensor) -> Tensor:
        """The most probable sets, ``[B, K]`` bool."""


class BernoulliPolicy(Policy):
    r"""Each teacher is taken or left by its own variable.

    .. math::
        \pi(a) = \prod_k \sigma(f_k)^{a_k} (1 - \sigma(f_k))^{1 - a_k}

    Example:
        >>> import torch
        >>> policy = BernoulliPolicy(2)
        >>> policy.all_log_prob(torch.zeros(1, 2), torch.tensor([[True, False]])).exp()
        tensor([[0.5000, 0.5000, 0.0000, 0.0000]])
    """

    @property
    def num_logits(self) -> int:
        """One a teacher."""
        return self.num_teachers

    def initial(self, prob: float) -> Tensor:
        """The same logit for all."""
        return torch.full((self.num_teachers,), prob).logit()

    def log_prob(self, logits: Tensor, action: Tensor, available: Tensor) -> Tensor:
        """The sum over available teachers."""
        return self.each_log_prob(logits, action, available).sum(dim=-1)

    def each_log_prob(self, logits: Tensor, action: Tensor, available: Tensor) -> Tensor:
        """Log-probability of taking or leaving each teacher as the set does, ``[B, K]``; 0 where unavailable."""
        signed = torch.where(action, logits, -logits)
        return nn.functional.logsigmoid(signed).masked_fill(~available, 0.0)

    def all_log_prob(self, logits: Tensor, available: Tensor) -> Tensor:
        """Two products with the table of subsets."""
        subsets = all_subsets(self.num_teachers, logits.device)
        taken, left = subsets.to(logits.dtype), (~subsets).to(logits.dtype)
        take = nn.functional.logsigmoid(logits).masked_fill(~available, 0.0)
        leave = nn.functional.logsigmoid(-logits).masked_fill(~available, 0.0)
        return (take @ taken.T + leave @ left.T).masked_fill(impossible(subsets, available), -torch.inf)

    def entropy(self, logits: Tensor, available: Tensor) -> Tensor:
        """The sum over available teachers."""
        return bernoulli_entropy(logits).masked_fill(~available, 0.0).sum(dim=-1)

    def draw(
        self, logits: Tensor, available: Tensor, generator: torch.Generator, around: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """One number a teacher."""
        lots = rand_rows(tuple(logits.shape), generator, around).to(logits.device)
        return (lots < logits.sigmoid()) & available

    def greedy(self, logits: Tensor, available: Tensor) -> Tensor:
        """Each teacher that is more likely taken than left."""
        return (logits > 0) & available


class CategoricalPolicy(Policy):
    r"""One variable over all :math:`2^K` sets, which can tell that two teachers help together or apart only.

    .. math::
        \pi(a) = \mathrm{softmax}(f)_a

    Example:
        >>> import torch
        >>> policy = CategoricalPolicy(2)
        >>> policy.all_log_prob(torch.zeros(1, 4), torch.tensor([[True, False]])).exp()
        tensor([[0.5000, 0.5000, 0.0000, 0.0000]])
    """

    @property
    def num_logits(self) -> int:
        """One a subset."""
        return 1 << self.num_teachers

    def initial(self, prob: float) -> Tensor:
        """Sums of the teachers' logits."""
        return all_subsets(self.num_teachers).sum(dim=-1) * torch.tensor(prob).logit()

    def log_prob(self, logits: Tensor, action: Tensor, available: Tensor) -> Tensor:
        """The entry of the set."""
        return self.all_log_prob(logits, available).gather(1, subset_index(action).unsqueeze(-1)).squeeze(-1)

    def all_log_prob(self, logits: Tensor, available: Tensor) -> Tensor:
        """A softmax over the possible subsets."""
        subsets = all_subsets(self.num_teachers, logits.device)
        return logits.masked_fill(impossible(subsets, available), -torch.inf).log_softmax(dim=-1)

    def entropy(self, logits: Tensor, available: Tensor) -> Tensor:
        """Over the possible subsets."""
        log_prob = self.all_log_prob(logits, available)
        return -(log_prob.exp() * log_prob.masked_fill(log_prob == -torch.inf, 0.0)).sum(dim=-1)

    def draw(
        self, logits: Tensor, available: Tensor, generator: torch.Generator, around: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """One number a row, held against the cumulative probabilities."""
        share = self.all_log_prob(logits, available).double().exp().cumsum(dim=-1)
        lot = rand_rows((len(logits), 1), generator, around, torch.float64)
        index = torch.searchsorted(share, lot.to(share.device) * share[:, -1:], right=True).squeeze(-1)
        return all_subsets(self.num_teachers, logits.device)[index.clamp_max(share.size(-1) - 1)]

    def greedy(self, logits: Tensor, available: Tensor) -> Tensor:
        """The largest entry."""
        best = self.all_log_prob(logits, available).argmax(dim=-1)
        return all_subsets(self.num_teachers, logits.device)[best]


POLICIES: dict[str, type[Policy]] = {"bernoulli": BernoulliPolicy, "categorical": CategoricalPolicy}


def impossible(subsets: Tensor, available: Tensor) -> Tensor:
    """Which subsets ``[S, K]`` hold an unavailable teacher, ``[B, S]`` for ``[B, K]``."""
    return (subsets & ~available.unsqueeze(-2)).any(dim=-1)


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of Bernoulli variables given by their logits, of any shape.

    Example:
        >>> import torch
        >>> bernoulli_entropy(torch.zeros(1))
        tensor([0.6931])
    """
    return nn.functional.softplus(logits) - logits * logits.sigmoid()
