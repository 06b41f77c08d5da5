"""What a sampler chose: a set of teachers a row, or a weighting of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torch_geometric_dsom.sampler.combine import combine_logits, mixture_weights


@dataclass(frozen=True)
class TeacherChoice:
    """What ``sample`` of a sampler of teachers returns.

    Args:
        action (Tensor): Which teachers are chosen, ``[B, K]`` bool; a row may be empty.
        log_prob (Tensor): Log-probability of the action under the policy, ``[B]``.
        state (Tensor): What the policy saw, ``[B, D]``.
        available (Tensor): Which teachers could be chosen, ``[B, K]`` bool.
        shares (Tensor, optional): Weights of the chosen teachers, ``[B, K]``; equal ones if :obj:`None`.
    """

    action: Tensor
    log_prob: Tensor
    state: Tensor
    available: Tensor
    shares: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """1 where any teacher is chosen, 0 where none is, ``[B]``: the weight of the row in the distillation loss."""
        return self.action.any(dim=-1).to(self.log_prob.dtype)

    @property
    def mixture(self) -> Tensor:
        """The weights by which the chosen teachers are averaged, ``[B, K]``; rows sum to one, or are zero."""
        return mixture_weights(self.action if self.shares is None else self.shares.masked_fill(~self.action, 0.0))

    def combine(self, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits of the mixtures, see :func:`~torch_geometric_dsom.sampler.combine_logits`.

        Args:
            teacher_logits (Tensor): ``[K, B, N]``.
            temperature (float): Temperature of the soft labels. (default: :obj:`1.0`)

        Returns:
            Tensor: ``[B, N]``, zeros where the set is empty: use :attr:`weight`.
        """
        return combine_logits(teacher_logits, self.mixture, temperature)

    def rows(self, index: Tensor) -> TeacherChoice:
        """The choices of some rows, given by number; they may repeat."""
        shares = None if self.shares is None else self.shares[index]
        return TeacherChoice(self.action[index], self.log_prob[index], self.state[index], self.available[index], shares)

    @staticmethod
    def cat(parts: Sequence[TeacherChoice]) -> TeacherChoice:
        """The choices of several batches, one after the other; either all or none of them with shares."""
        if len(parts) == 1:
            return parts[0]
        action, log_prob, state, available = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("action", "log_prob", "state", "available")
        )
        shares = [part.shares for part in parts if part.shares is not None]
        return TeacherChoice(action, log_prob, state, available, torch.cat(shares) if shares else None)
