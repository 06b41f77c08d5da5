"""The reinforced agent: picks, for each triple, the set of teachers to learn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import ConfigError, NonFiniteError
from torch_geometric_dsom.sampler.choice import TeacherChoice
from torch_geometric_dsom.sampler.policy import POLICIES, BernoulliPolicy
from torch_geometric_dsom.sampler.subsets import subset_index

GRADIENTS = ("reinforce", "exact")
BASELINES = ("moving", "learned", "none")
CREDITS = ("shared", "counterfactual")


class TeacherSampler(nn.Module):
    r"""A one-step contextual bandit over sets of teachers, trained by policy gradient.

    A small network gives the logits of a distribution :math:`\pi(a \mid s)` over sets :math:`a`, the empty one
    included: one Bernoulli variable a teacher, or one categorical variable over all subsets. :meth:`update` takes one
    step of `REINFORCE <https://doi.org/10.1007/BF00992696>`_ with a baseline :math:`b` and an entropy bonus,

    .. math::
        \mathcal L = - \frac{1}{B} \sum_i \big( r_i - b_i \big) \log \pi(a_i \mid s_i)
        + \eta \, \mathrm{H}\big( \pi(\cdot \mid s_i) \big) ,

    or, where the rewards of all subsets are at hand, of their exact expectation, which needs no draw and no baseline:

    .. math::
        \mathcal L = - \frac{1}{B} \sum_i \sum_a \pi(a \mid s_i) \, r_i(a)
        + \eta \, \mathrm{H}\big( \pi(\cdot \mid s_i) \big)

    With :obj:`credit="counterfactual"` each Bernoulli variable has an advantage of its own, as in `COMA
    <https://arxiv.org/abs/1705.08926>`_: what the set gains over the same set with that teacher taken by lot.

    Args:
        num_teachers (int): Number of teachers :math:`K`.
        state_dim (int): Width of the state :math:`D`.
        hidden_dim (int): Width of the hidden layer; 0 for a linear policy. (default: :obj:`64`)
        lr (float): Learning rate of the policy (Adam). (default: :obj:`0.003`)
        entropy_weight (float): :math:`\eta`. (default: :obj:`0.01`)
        baseline_momentum (float): How much of the old moving baseline a step keeps, in :math:`[0, 1)`.
            (default: :obj:`0.9`)
        init_prob (float): Probability of each teacher before any update. (default: :obj:`0.7`)
        generator (torch.Generator, optional): Source of initial values and choices; a new one seeded with 0 if
            :obj:`None`.
        policy (str): ``"bernoulli"`` or ``"categorical"``. (default: :obj:`"bernoulli"`)
        gradient (str): ``"reinforce"`` or ``"exact"``. (default: :obj:`"reinforce"`)
        baseline (str): Of REINFORCE: ``"moving"``, the mean reward of past batches; ``"learned"``, a linear function of
            the hidden layer; or ``"none"``. (default: :obj:`"moving"`)
        credit (str): ``"shared"``: one advantage for the whole set; ``"counterfactual"``: one a teacher.
            (default: :obj:`"shared"`)

    Raises:
        ConfigError: If a size, a share or a name is out of range, or counterfactual credit is asked of anything but
            Bernoulli variables and REINFORCE.

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
        policy: str = "bernoulli",
        gradient: str = "reinforce",
        baseline: str = "moving",
        credit: str = "shared",
    ) -> None:
        super().__init__()
        for name, size in (("num_teachers", num_teachers), ("state_dim", state_dim)):
            if size < 1:
                raise ConfigError(f"{name}: expected a positive number, got {size}")
        if not 0.0 < init_prob < 1.0:
            raise ConfigError(f"init_prob: expected a probability between 0 and 1, got {init_prob}")
        if not 0.0 <= baseline_momentum < 1.0:
            raise ConfigError(f"baseline_momentum: expected a share in [0, 1), got {baseline_momentum}")
        for name, value, known in (
            ("policy", policy, tuple(POLICIES)),
            ("gradient", gradient, GRADIENTS),
            ("baseline", baseline, BASELINES),
            ("credit", credit, CREDITS),
        ):
            if value not in known:
                raise ConfigError(f"{name}: expected one of {list(known)}, got '{value}'")
        if credit == "counterfactual" and (policy, gradient) != ("bernoulli", "reinforce"):
            raise ConfigError(f"credit: 'counterfactual' expects bernoulli and reinforce, got {policy} and {gradient}")
        if baseline == "learned" and (gradient, credit) != ("reinforce", "shared"):
            raise ConfigError(f"baseline: 'learned' expects reinforce and shared credit, got {gradient} and {credit}")
        self.num_teachers = num_teachers
        self.state_dim = state_dim
        self.hidden_dim = hidden_dim
        self.lr = lr
        self.entropy_weight = entropy_weight
        self.baseline_momentum = baseline_momentum
        self.init_prob = init_prob
        self.policy_name = policy
        self.gradient = gradient
        self.baseline_name = baseline
        self.credit = credit
        self.policy = POLICIES[policy](num_teachers)
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        # Values are drawn in reset_parameters, not from torch's global generator.
        width = hidden_dim if hidden_dim > 0 else state_dim
        self.body = nn.utils.skip_init(nn.Linear, state_dim, hidden_dim) if hidden_dim > 0 else None
        self.head = nn.utils.skip_init(nn.Linear, width, self.policy.num_logits)
        self.value = nn.utils.skip_init(nn.Linear, width, 1) if baseline == "learned" else None
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self.baseline: Tensor
        self.num_updates: Tensor
        self.reset_parameters()

    @property
    def needs_all_rewards(self) -> bool:
        """Whether :meth:`update` wants the rewards of all subsets."""
        return self.gradient == "exact" or self.credit == "counterfactual"

    def reset_parameters(self) -> None:
        """Starts the policy, its optimiser and its baseline anew; every teacher has probability ``init_prob``."""
        if self.body is not None:
            nn.init.kaiming_uniform_(self.body.weight, nonlinearity="relu", generator=self.generator)
            nn.init.zeros_(self.body.bias)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(self.policy.initial(self.init_prob))
        if self.value is not None:
            nn.init.zeros_(self.value.weight)
            nn.init.zeros_(self.value.bias)
        self.baseline.zero_()
        self.num_updates.zero_()
        self.optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)

    def forward(self, state: Tensor) -> Tensor:
        """Logits of the policy, ``[B, D]`` to ``[B, K]``, or ``[B, 2^K]`` of a categorical one."""
        logits: Tensor = self.head(self._hidden(state))
        return logits

    @torch.no_grad()
    def sample(
        self,
        state: Tensor,
        available: Tensor | None = None,
        greedy: bool = False,
        around: tuple[int, int] = (0, 0),
    ) -> TeacherChoice:
        """Chooses a set of teachers for each row.

        Args:
            state (Tensor): ``[B, D]``.
            available (Tensor, optional): Which teachers may be chosen, ``[B, K]`` bool; all if :obj:`None`.
            greedy (bool): Whether to take the most probable set instead of drawing one. (default: :obj:`False`)
            around (tuple[int, int]): How many rows of the same batch other processes have before and after these.
                (default: :obj:`(0, 0)`)

        Returns:
            TeacherChoice: The sets and what :meth:`update` needs.

        Raises:
            ConfigError: If a shape is not as expected.
            NonFiniteError: If the state is not finite; looked at on CPU only, an accelerator would wait for it.
        """
        if state.dim() != 2 or state.size(1) != self.state_dim:
            raise ConfigError(f"state: expected [B, {self.state_dim}], got {list(state.shape)}")
        shape = (state.size(0), self.num_teachers)
        if available is None:
            available = torch.ones(shape, dtype=torch.bool, device=state.device)
        if available.shape != shape or available.dtype != torch.bool:
            raise ConfigError(f"available: expected bool {list(shape)}, got {available.dtype} {list(available.shape)}")
        if state.device.type == "cpu" and not bool(state.sum().isfinite()):  # in a sum nothing of it gets lost
            raise NonFiniteError("state: expected finite values, got NaN or infinity")
        logits = self(state)
        if greedy:
            action = self.policy.greedy(logits, available)
        else:
            action = self.policy.draw(logits, available, self.generator, around)
        return TeacherChoice(action, self.policy.log_prob(logits, action, available), state, available)

    def update(self, choice: TeacherChoice, reward: Tensor, world: World = ALONE) -> dict[str, Tensor]:
        """One policy-gradient step.

        Args:
            choice (TeacherChoice): What :meth:`sample` returned.
            reward (Tensor): Reward of each chosen set, ``[B]``, or of all subsets in the order of
                :func:`~torch_geometric_dsom.sampler.all_subsets`, ``[B, 2^K]``, which the exact gradient and
                counterfactual credit need.
            world (World): Processes with rows of their own, which take the same step: the mean over all rows.
                (default: this one alone)

        Returns:
            dict[str, Tensor]: Scalars ``loss_policy``, ``entropy`` (nats a row) and ``baseline``.

        Raises:
            ConfigError: If the reward has another shape.
            NonFiniteError: If a reward is not finite; looked at on CPU only.
        """
        rows, subsets = choice.log_prob.size(0), 1 << self.num_teachers
        if reward.shape != (rows, subsets) and (self.needs_all_rewards or reward.shape != (rows,)):
            expected = f"[{rows}, {subsets}]" + ("" if self.needs_all_rewards else f" or [{rows}]")
            raise ConfigError(f"reward: expected {expected}, got {list(reward.shape)}")
        if reward.device.type == "cpu" and not bool(reward.isfinite().all()):
            raise NonFiniteError("reward: expected finite values, got NaN or infinity")
        total = world.total(rows)
        if total == 0:
            return dict.fromkeys(("loss_policy", "entropy"), reward.new_zeros(())) | {"baseline": self.baseline.clone()}
        with torch.enable_grad():
            hidden = self._hidden(choice.state)
            logits = self.head(hidden)
            entropy = self.policy.entropy(logits, choice.available).sum() / total
            loss = self._loss(choice, reward, logits, hidden, total, world) - self.entropy_weight * entropy
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        loss, entropy = loss.detach(), entropy.detach()
        gradients = [value.grad for value in self.parameters() if value.grad is not None]
        world.sum_all_([*gradients, loss, entropy])  # of shares of the mean
        self.optimizer.step()
        self.num_updates += 1
        return {"loss_policy": loss, "entropy": entropy, "baseline": self.baseline.clone()}

    def _loss(
        self, choice: TeacherChoice, reward: Tensor, logits: Tensor, hidden: Tensor, total: int, world: World
    ) -> Tensor:
        """Minus the expected reward, or something with its gradient: this process's share of the mean."""

        def moved_to(values: Tensor) -> Tensor:
            """The mean over all rows, towards which the baseline moves."""
            mean = world.sum_(values.detach().sum() / total)
            self._move_baseline(mean)
            return mean

        if self.gradient == "exact":
            prob: Tensor = self.policy.all_log_prob(logits, choice.available).exp()
            expected = (prob * reward).sum(dim=-1)
            moved_to(expected)
            return -expected.sum() / total
        own = reward if reward.dim() == 1 else reward.gather(1, subset_index(choice.action).unsqueeze(-1)).squeeze(-1)
        if self.credit == "counterfactual":
            assert isinstance(self.policy, BernoulliPolicy)
            each = self.policy.each_log_prob(logits, choice.action, choice.available)
            advantage = own.unsqueeze(-1) - counterfactual_baseline(reward, choice.action, logits.detach().sigmoid())
            moved_to(own)
            return -(advantage * each).sum(dim=-1).sum() / total
        log_prob: Tensor = self.policy.log_prob(logits, choice.action, choice.available)
        if self.value is not None:
            value: Tensor = self.value(hidden.detach()).squeeze(-1)
            moved_to(own)
            return -((own - value.detach()) * log_prob).sum() / total + (own - value).square().sum() / total
        if self.baseline_name == "none":
            return -(own * log_prob).sum() / total
        before = self.baseline.clone()
        mean = moved_to(own)
        baseline = torch.where(self.num_updates > 0, before, mean)
        return -((own - baseline) * log_prob).sum() / total

    def _move_baseline(self, mean: Tensor) -> None:
        old = torch.where(self.num_updates > 0, self.baseline, mean)
        self.baseline.copy_(torch.lerp(mean, old, self.baseline_momentum))

    def _hidden(self, state: Tensor) -> Tensor:
        hidden: Tensor = state if self.body is None else torch.relu(self.body(state))
        return hidden

    def config(self) -> dict[str, Any]:
        """The arguments that make the same sampler again, but for its generator."""
        names = ("num_teachers", "state_dim", "hidden_dim", "lr", "entropy_weight", "baseline_momentum", "init_prob")
        choices = {"policy": self.policy_name, "baseline": self.baseline_name}
        return {name: getattr(self, name) for name in (*names, "gradient", "credit")} | choices

    def get_extra_state(self) -> dict[str, Tensor]:
        """State of generator and optimiser, so that a restored sampler goes on as this one would."""
        state = {"generator": self.generator.get_state()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": value.clone() for name, value in moments.items()}
        return state

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores what :meth:`get_extra_state` gave."""
        self.generator.set_state(state["generator"].cpu())
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                moments.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        names = f"policy='{self.policy_name}', gradient='{self.gradient}', credit='{self.credit}'"
        return f"num_teachers={self.num_teachers}, state_dim={self.state_dim}, {names}"


def counterfactual_baseline(reward: Tensor, action: Tensor, prob: Tensor) -> Tensor:
    r"""What the chosen set would earn with one teacher at a time taken by lot.

    .. math::
        b_k = \pi_k \, r(a \cup \{k\}) + (1 - \pi_k) \, r(a \setminus \{k\})

    Args:
        reward (Tensor): Rewards of all subsets, ``[B, 2^K]``.
        action (Tensor): The chosen sets, ``[B, K]`` bool.
        prob (Tensor): Probability :math:`\pi_k` of taking each teacher, ``[B, K]``.

    Returns:
        Tensor: ``[B, K]``.

    Example:
        >>> import torch
        >>> reward = torch.tensor([[0.0, 1.0, 0.0, 3.0]])  # of {}, {0}, {1}, {0, 1}
        >>> counterfactual_baseline(reward, torch.tensor([[True, False]]), torch.tensor([[0.5, 0.5]]))
        tensor([[0.5000, 2.0000]])
    """
    index = subset_index(action).unsqueeze(-1)
    bit = 1 << torch.arange(action.size(-1), device=action.device)
    with_it, without = reward.gather(1, index | bit), reward.gather(1, index & ~bit)
    return prob * with_it + (1.0 - prob) * without
