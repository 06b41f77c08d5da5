"""The reinforced agent: picks, for each training fact, the set of teachers to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.sampler.combine import combine_logits


@dataclass(frozen=True)
class TeacherChoice:
    """What :meth:`TeacherSampler.sample` chose.

    Args:
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool; a row may be empty.
        log_prob (Tensor): Log-probability of the action under the policy, ``[B]``.
        state (Tensor): What the policy saw, ``[B, D]``.
        available (Tensor): Which teachers could be chosen, ``[B, K]`` bool.
    """

    action: Tensor
    log_prob: Tensor
    state: Tensor
    available: Tensor

    @property
    def weight(self) -> Tensor:
        """1 where any teacher is chosen, 0 where none is, ``[B]``: the weight of the row in the distillation loss."""
        return self.action.any(dim=-1).to(self.log_prob.dtype)

    def combine(self, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits of the chosen sets, see :func:`~torch_geometric_dsom.sampler.combine_logits`.

        Args:
            teacher_logits (Tensor): ``[K, B, N]``.
            temperature (float): Temperature of the soft labels. (default: :obj:`1.0`)

        Returns:
            Tensor: ``[B, N]``, zeros where the set is empty: use :attr:`weight`.
        """
        return combine_logits(teacher_logits, self.action, temperature)


class TeacherSampler(nn.Module):
    r"""A one-step contextual bandit over sets of teachers, trained by policy gradient.

    Each teacher is taken or left by its own Bernoulli variable, so that every subset, the empty one included, can be
    chosen: :math:`\pi(a \mid s) = \prod_k \sigma(f_k(s))^{a_k} (1 - \sigma(f_k(s)))^{1 - a_k}` with a small
    network :math:`f`. :meth:`update` takes one step of `REINFORCE <https://doi.org/10.1007/BF00992696>`_ with a moving
    baseline :math:`b` and an entropy bonus:

    .. math::
        \mathcal L = - \frac{1}{B} \sum_i \big( r_i - b \big) \log \pi(a_i \mid s_i)
        - \eta \, \mathrm{H}\big( \pi(\cdot \mid s_i) \big)

    Args:
        num_teachers (int): Number of teachers :math:`K`.
        state_dim (int): Width of the state :math:`D`.
        hidden_dim (int): Width of the hidden layer; 0 for a linear policy. (default: :obj:`64`)
        lr (float): Learning rate of the policy (Adam). (default: :obj:`0.003`)
        entropy_weight (float): :math:`\eta`. (default: :obj:`0.01`)
        baseline_momentum (float): How much of the old baseline a step keeps, in :math:`[0, 1)`. (default: :obj:`0.9`)
        init_prob (float): Probability of each teacher before any update. (default: :obj:`0.7`)
        generator (torch.Generator, optional): Source of initial values and choices; a new one seeded with 0 if
            :obj:`None`.

    Raises:
        ConfigError: If a size or a share is out of range.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import TeacherSampler
        >>> sampler = TeacherSampler(num_teachers=3, state_dim=4, generator=torch.Generator().manual_seed(0))
        >>> available = torch.tensor([[True, True, False], [True, True, True]])
        >>> choice = sampler.sample(torch.zeros(2, 4), available=available)
        >>> choice.action.shape, bool(choice.action[0, 2])
        (torch.Size([2, 3]), False)
        >>> sorted(sampler.update(choice, reward=torch.tensor([1.0, 0.0])))
        ['baseline', 'entropy', 'loss_policy']
    """

    def __init__(
        self,
        num_teachers: int,
        state_dim: int,
        hidden_dim: int = 64,
        lr: float = 3e-3,
        entropy_weight: float = 0.01,
        baseline_momentum: float = 0.9,
        init_prob: float = 0.7,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("num_teachers", num_teachers), ("state_dim", state_dim)):
            if size < 1:
                raise ConfigError(f"{name}: expected a positive number, got {size}")
        if not 0.0 < init_prob < 1.0:
            raise ConfigError(f"init_prob: expected a probability between 0 and 1, got {init_prob}")
        if not 0.0 <= baseline_momentum < 1.0:
            raise ConfigError(f"baseline_momentum: expected a share in [0, 1), got {baseline_momentum}")
        self.num_teachers = num_teachers
        self.state_dim = state_dim
        self.hidden_dim = hidden_dim
        self.lr = lr
        self.entropy_weight = entropy_weight
        self.baseline_momentum = baseline_momentum
        self.init_prob = init_prob
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        # Values are drawn in reset_parameters, not from torch's global generator.
        self.body = nn.utils.skip_init(nn.Linear, state_dim, hidden_dim) if hidden_dim > 0 else None
        self.head = nn.utils.skip_init(nn.Linear, hidden_dim if hidden_dim > 0 else state_dim, num_teachers)
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self.baseline: Tensor
        self.num_updates: Tensor
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts the policy, its optimiser and its baseline anew; every teacher has probability ``init_prob``."""
        if self.body is not None:
            nn.init.kaiming_uniform_(self.body.weight, nonlinearity="relu", generator=self.generator)
            nn.init.zeros_(self.body.bias)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, torch.logit(torch.tensor(self.init_prob)).item())
        self.baseline.zero_()
        self.num_updates.zero_()
        self.optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)

    def forward(self, state: Tensor) -> Tensor:
        """Logits of taking each teacher, ``[B, D]`` to ``[B, K]``."""
        hidden = state if self.body is None else torch.relu(self.body(state))
        logits: Tensor = self.head(hidden)
        return logits

    @torch.no_grad()
    def sample(self, state: Tensor, available: Tensor | None = None, greedy: bool = False) -> TeacherChoice:
        """Chooses a set of teachers for each row.

        Args:
            state (Tensor): ``[B, D]``.
            available (Tensor, optional): Which teachers may be chosen, ``[B, K]`` bool; all if :obj:`None`.
            greedy (bool): Whether to take the most probable set instead of drawing one. (default: :obj:`False`)

        Returns:
            TeacherChoice: The sets and what :meth:`update` needs.

        Raises:
            ConfigError: If a shape is not as expected.
            NonFiniteError: If the state is not finite.
        """
        if state.dim() != 2 or state.size(1) != self.state_dim:
            raise ConfigError(f"state: expected [B, {self.state_dim}], got {list(state.shape)}")
        shape = (state.size(0), self.num_teachers)
        if available is None:
            available = torch.ones(shape, dtype=torch.bool, device=state.device)
        if available.shape != shape or available.dtype != torch.bool:
            raise ConfigError(f"available: expected bool {list(shape)}, got {available.dtype} {list(available.shape)}")
        if not bool(state.isfinite().all()):
            raise NonFiniteError("state: expected finite values, got NaN or infinity")
        logits = self(state)
        prob = logits.sigmoid()
        if greedy:
            action = prob > 0.5
        else:  # drawn where the generator lives, so that a run is the same on every device
            draw = torch.rand(shape, generator=self.generator, device=self.generator.device)
            action = draw.to(prob.device) < prob
        action = action & available
        return TeacherChoice(action, action_log_prob(logits, action, available), state, available)

    def update(self, choice: TeacherChoice, reward: Tensor) -> dict[str, float]:
        """One policy-gradient step.

        Args:
            choice (TeacherChoice): What :meth:`sample` returned.
            reward (Tensor): Reward of each row, ``[B]``.

        Returns:
            dict[str, float]: ``loss_policy``, ``entropy`` (nats a row, summed over its teachers) and ``baseline``.

        Raises:
            ConfigError: If the reward has another number of rows.
            NonFiniteError: If a reward is not finite.
        """
        if reward.shape != choice.log_prob.shape:
            raise ConfigError(f"reward: expected {list(choice.log_prob.shape)}, got {list(reward.shape)}")
        if not bool(reward.isfinite().all()):
            raise NonFiniteError("reward: expected finite values, got NaN or infinity")
        if reward.numel() == 0:
            return {"loss_policy": 0.0, "entropy": 0.0, "baseline": self.baseline.item()}
        baseline = self.baseline if self.num_updates > 0 else reward.mean()
        with torch.enable_grad():
            logits = self(choice.state)
            log_prob = action_log_prob(logits, choice.action, choice.available)
            entropy = bernoulli_entropy(logits).masked_fill(~choice.available, 0.0).sum(dim=-1).mean()
            loss = -((reward - baseline) * log_prob).mean() - self.entropy_weight * entropy
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        self.baseline.copy_(torch.lerp(reward.mean(), baseline, self.baseline_momentum))
        self.num_updates += 1
        return {"loss_policy": loss.item(), "entropy": entropy.item(), "baseline": self.baseline.item()}

    def config(self) -> dict[str, Any]:
        """The arguments that make the same sampler again, but for its generator."""
        names = ("num_teachers", "state_dim", "hidden_dim", "lr", "entropy_weight", "baseline_momentum", "init_prob")
        return {name: getattr(self, name) for name in names}

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_teachers={self.num_teachers}, state_dim={self.state_dim}"


def action_log_prob(logits: Tensor, action: Tensor, available: Tensor) -> Tensor:
    r"""Log-probability of taking and leaving teachers as :obj:`action` says; what is not available does not count.

    Args:
        logits (Tensor): Logits of taking each teacher, ``[B, K]``.
        action (Tensor): ``[B, K]`` bool.
        available (Tensor): ``[B, K]`` bool.

    Returns:
        Tensor: ``[B]``, differentiable in the logits.

    Example:
        >>> import torch
        >>> on = torch.tensor([[True, True]])
        >>> action_log_prob(torch.zeros(1, 2), on, on).exp()
        tensor([0.2500])
    """
    signed = torch.where(action, logits, -logits)
    return nn.functional.logsigmoid(signed).masked_fill(~available, 0.0).sum(dim=-1)


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of Bernoulli variables given by their logits, of any shape.

    Example:
        >>> import torch
        >>> bernoulli_entropy(torch.zeros(1))
        tensor([0.6931])
    """
    return nn.functional.softplus(logits) - logits * logits.sigmoid()
