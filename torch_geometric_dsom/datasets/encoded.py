"""What encoders give, checked and spread over the entities of a graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from torch_geometric_dsom.errors import DataError

ImageEncoder = Callable[[list[Image.Image]], Tensor]
TextEncoder = Callable[[list[str]], Tensor]


def checked(features: Tensor, rows: int, name: str) -> Tensor:
    """Features of an encoder as float32 on the CPU.

    Args:
        features (Tensor): What the encoder gave.
        rows (int): How many rows it was asked for.
        name (str): What the error calls the encoder.

    Returns:
        Tensor: ``[rows, D]``.

    Raises:
        DataError: If it is another shape or not finite.
    """
    if not isinstance(features, Tensor) or features.dim() != 2 or features.size(0) != rows:
        came = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise DataError(f"{name}: expected a tensor [{rows}, D], got {came}")
    if not bool(features.isfinite().all()):
        row = int((~features.isfinite()).any(dim=1).nonzero()[0, 0])
        raise DataError(f"{name}: expected finite features, got NaN or infinity in row {row}")
    return features.detach().float().cpu()


def spread(features: Tensor, rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Features of some entities as a float32 matrix over all of them, zeros elsewhere, and its mask.

    Args:
        features (Tensor): ``[n, D]``.
        rows (Tensor): Entity of each row, ``[n]``, int64.
        size (int): Number of entities :math:`N`.

    Returns:
        tuple[Tensor, Tensor]: ``[N, D]`` and ``[N]`` bool.

    Example:
        >>> import torch
        >>> spread(torch.tensor([[5.0]]), torch.tensor([1]), 3)
        (tensor([[0.],
                [5.],
                [0.]]), tensor([False,  True, False]))
    """
    x = torch.zeros(size, features.size(1))
    mask = torch.zeros(size, dtype=torch.bool)
    x[rows], mask[rows] = features.detach().float().cpu(), True
    return x, mask
