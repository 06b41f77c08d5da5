"""How scores change along a direction in the space of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError


class _Tails(nn.Module):
    """A module whose forward is ``score_tails``, for :func:`torch.func.functional_call`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, head: Tensor, rel: Tensor) -> Tensor:
        scores: Tensor = self.model.score_tails(head, rel)  # type: ignore[operator]
        return scores


@torch.no_grad()
def score_tangent(model: nn.Module, head: Tensor, rel: Tensor, direction: Mapping[str, Tensor]) -> Tensor:
    r"""Directional derivative of all scores: the product of their Jacobian with a direction, in one forward pass.

    .. math::
        v = \left. \frac{d}{d \epsilon} \, z_{\theta + \epsilon g}(h, r, \cdot) \right|_{\epsilon = 0}

    Args:
        model (nn.Module): With ``score_tails(head, rel) -> [B, N]``.
        head (Tensor): Query entities, ``[B]``, int64.
        rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
        direction (dict[str, Tensor]): The direction :math:`g`, by names of parameters; those left out stand still.

    Returns:
        Tensor: ``[B, N]``.

    Raises:
        ConfigError: If a name is not one of the model's parameters.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ComplEx, score_tangent
        >>> model = ComplEx(num_entities=4, num_relations=1, rank=2)
        >>> up = {"entity": torch.ones(4, 4)}
        >>> score_tangent(model, torch.tensor([0]), torch.tensor([1]), up).shape
        torch.Size([1, 4])
    """
    parameters = dict(model.named_parameters())
    unknown = sorted(set(direction) - set(parameters))
    if unknown:
        raise ConfigError(f"direction: expected names of parameters {sorted(parameters)}, got {unknown}")
    tails = _Tails(model)
    values = {f"model.{name}": parameters[name].detach() for name in direction}
    tangents = {f"model.{name}": value for name, value in direction.items()}

    def scores(moved: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(tails, moved, (head, rel))  # type: ignore[no-any-return]

    return torch.func.jvp(scores, (values,), (tangents,))[1]  # type: ignore[no-any-return]
