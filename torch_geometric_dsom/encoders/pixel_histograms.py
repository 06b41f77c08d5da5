"""Histograms of colour, edges and outline: pictures as vectors without weights, packages or a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from torch_geometric_dsom.encoders.ground import on_white

SIDE = 64  # px
LEVELS = 4  # of each colour channel
ANGLES = 8
CELLS = 4  # along each side, for edges and outline
QUARTERS = 2  # along each side, for colours
Array = np.ndarray


class PixelHistograms:
    r"""Where a picture has which colours, which edges, and what it covers.

    A picture is laid on white and brought to 64 x 64 px. Colours are counted in its four quarters (4 levels a channel),
    gradients by eight angles, weighted by their strength, in 4 x 4 cells (as in
    `Dalal and Triggs, 2005 <https://doi.org/10.1109/CVPR.2005.177>`_), opaque pixels in the same cells. The counts go
    through the feature map of the additive :math:`\chi^2` kernel
    (`Vedaldi and Zisserman, 2012 <https://doi.org/10.1109/TPAMI.2011.153>`_), which makes dot products of histograms
    meaningful. What there is without any extra; :class:`EfficientNetLite0` is far better where content matters.

    Example:
        >>> encoder = PixelHistograms()
        >>> red, pink, blue = encoder([Image.new("RGB", (9, 9), colour) for colour in ("red", "#f01020", "blue")])
        >>> bool(red @ pink > red @ blue), red.shape
        (True, torch.Size([1200]))
    """

    dim = 3 * (QUARTERS**2 * LEVELS**3 + CELLS**2 * ANGLES + CELLS**2)

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """Encodes pictures.

        Args:
            images (Sequence[PIL.Image.Image]): ``n`` pictures of any size and mode.

        Returns:
            Tensor: Features, ``[n, 1200]``, float32.
        """
        from sklearn.kernel_approximation import AdditiveChi2Sampler

        if not images:
            return torch.empty(0, self.dim)
        counts = np.stack([_histograms(image) for image in images])
        features = AdditiveChi2Sampler(sample_steps=2).fit_transform(counts)
        return torch.from_numpy(features).float()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _histograms(image: Image.Image) -> Array:
    """Colours, edges and outline, each summing to one or to nothing, ``[400]``."""
    image = image.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(on_white(image), dtype=np.int64)
    opaque = np.asarray(image.getchannel("A"), dtype=np.float64) / 255

    level = pixels * LEVELS // 256
    colour = (level[..., 0] * LEVELS + level[..., 1]) * LEVELS + level[..., 2]
    down, right = np.gradient(pixels.mean(axis=2))
    angle = (np.arctan2(down, right) % np.pi / np.pi * ANGLES).astype(np.int64) % ANGLES  # light to dark or back alike
    parts = (
        _count(colour, np.ones_like(opaque), QUARTERS, LEVELS**3),
        _count(angle, np.hypot(down, right), CELLS, ANGLES),
        _count(np.zeros_like(colour), opaque, CELLS, 1),
    )
    return np.concatenate([part / max(part.sum(), 1e-12) for part in parts])


def _count(kind: Array, weight: Array, cells: int, kinds: int) -> Array:
    """Sums of weights by cell and kind, ``[cells * cells * kinds]``."""
    place = np.arange(SIDE) * cells // SIDE
    cell = place[:, None] * cells + place
    counted: Array = np.bincount((cell * kinds + kind).ravel(), weight.ravel(), cells * cells * kinds)
    return counted
