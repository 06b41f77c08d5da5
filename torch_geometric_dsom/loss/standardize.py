"""Logits on one scale, whatever the confidence of who gave them."""

from __future__ import annotations

from torch import Tensor

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss.common import as_float


def standardize_logits(logits: Tensor, eps: float = 1e-6) -> Tensor:
    r"""Logits of each query with mean zero and unit standard deviation.

    From `"Logit Standardization in Knowledge Distillation" <https://arxiv.org/abs/2403.01993>`_: a student then need
    not match the size of its teacher's logits, only their relations.

    .. math::
        \mathcal Z(z)_j = \frac{z_j - \bar z}{\sqrt{\sigma^2(z) + \epsilon^2}}

    Args:
        logits (Tensor): ``[B, N]``; half floats are computed in float32.
        eps (float): :math:`\epsilon > 0`, which keeps equal logits finite. (default: :obj:`1e-6`)

    Returns:
        Tensor: ``[B, N]``.

    Raises:
        ConfigError: If ``eps`` is not positive.

    Example:
        >>> import torch
        >>> standardize_logits(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[-1.3416, -0.4472,  0.4472,  1.3416]])
    """
    if not eps > 0:
        raise ConfigError(f"eps: expected a positive number, got {eps}")
    logits = as_float(logits)
    centred = logits - logits.mean(dim=-1, keepdim=True)
    # Inside the root, which has no finite slope at zero.
    return centred / (centred.square().mean(dim=-1, keepdim=True) + eps**2).sqrt()
