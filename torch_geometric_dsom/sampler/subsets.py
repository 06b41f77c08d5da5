"""All sets of teachers, in one order that rewards and policies share."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError

MAX_TEACHERS = 12  # 4,096 sets; beyond that nobody wants to see them all


def all_subsets(num_teachers: int, device: torch.device | None = None) -> Tensor:
    """All subsets of the teachers, the empty one first: subset :math:`i` has the binary digits of :math:`i`.

    Args:
        num_teachers (int): Number of teachers :math:`K`, at most 12.
        device (torch.device, optional): Where to put them.

    Returns:
        Tensor: ``[2^K, K]`` bool.

    Raises:
        ConfigError: If there are too many teachers to list their subsets.

    Example:
        >>> all_subsets(2).int().tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if not 0 <= num_teachers <= MAX_TEACHERS:
        raise ConfigError(f"num_teachers: expected at most {MAX_TEACHERS} to list all subsets, got {num_teachers}")
    code = torch.arange(1 << num_teachers, device=device)
    return (code.unsqueeze(-1) >> torch.arange(num_teachers, device=device)) & 1 == 1


def subset_index(action: Tensor) -> Tensor:
    """The number of each set in :func:`all_subsets`.

    Args:
        action (Tensor): Which teachers are chosen, ``[..., K]`` bool.

    Returns:
        Tensor: ``[...]``, int64.

    Example:
        >>> import torch
        >>> subset_index(torch.tensor([[False, True], [True, True]]))
        tensor([2, 3])
    """
    return (action.long() << torch.arange(action.size(-1), device=action.device)).sum(dim=-1)
