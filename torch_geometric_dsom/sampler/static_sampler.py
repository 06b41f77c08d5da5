"""Teachers that are not chosen but given: the baseline of every choice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler.teacher_sampler import TeacherChoice


class StaticSampler(nn.Module):
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

    def sample(self, state: Tensor, available: Tensor | None = None, greedy: bool = False) -> TeacherChoice:
        """The given teachers where they are available; see :meth:`TeacherSampler.sample`."""
        action = self.mask.expand(state.size(0), -1)
        if self.prob < 1.0:
            lots = torch.rand(action.shape, generator=self.generator, device=self.generator.device)
            action = action & (lots < self.prob).to(action.device)
        available = torch.ones_like(action) if available is None else available
        return TeacherChoice(action & available, state.new_zeros(state.size(0)), state, available)

    def update(self, choice: TeacherChoice, reward: Tensor) -> dict[str, float]:
        """Learns nothing."""
        return {}

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_teachers={self.num_teachers}, chosen={list(self.chosen)}, prob={self.prob}"
