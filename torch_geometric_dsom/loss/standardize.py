"""Logits on one scale, whatever the confidence of who gave them."""

from __future__ import annotations

from torch import Tensor


def standardize_logits(logits: Tensor, eps: float = 1e-6) -> Tensor:
    r"""Logits of each query with mean zero and unit standard deviation.

    From `"Logit Standardization in Knowledge Distillation" <https://arxiv.org/abs/2403.01993>`_: a student then need
    not match the size of its teacher's logits, only their relations.

    .. math::
        \mathcal Z(z)_j = \frac{z_j - \bar z}{\sigma(z) + \epsilon}

    Args:
        logits (Tensor): ``[B, N]``.
        eps (float): :math:`\epsilon`, which keeps equal logits finite. (default: :obj:`1e-6`)

    Returns:
        Tensor: ``[B, N]``.

    Example:
        >>> import torch
        >>> standardize_logits(torch.tensor([[1.0, 3.0, 5.0, 7.0]]))
        tensor([[-1.3416, -0.4472,  0.4472,  1.3416]])
    """
    centred = logits - logits.mean(dim=-1, keepdim=True)
    # The square root has no finite slope at zero.
    variance = centred.square().mean(dim=-1, keepdim=True)
    deviation = (variance + eps**2).sqrt()
    return centred / (deviation + eps)
