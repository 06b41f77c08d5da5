"""Encoders by the name of a model on a hub, or by the folder where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from torch_geometric_dsom.encoders.ground import on_white
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.optional import require


class _HubEncoder:
    """What they share: a name, a batch size, a device, a frozen network, and an error that names the model.

    Args:
        name (str): Name of the model on the hub, or a folder.
        batch_size (int): Items encoded at once. (default: :obj:`32`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one, or the model cannot be had.
        ImportError: If the extra ``hub`` is not installed.
    """

    def __init__(self, name: str, batch_size: int = 32, device: torch.device | str = "cpu") -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
        self.name = str(name)
        self.batch_size = batch_size
        self.device = torch.device(device)
        try:
            with torch.random.fork_rng(devices=[]):  # initial values may be drawn before weights replace them
                self._load()
        except ImportError:
            raise
        except Exception as error:  # each hub raises its own
            reason = str(error).split("\n")[0][:200]
            raise ConfigError(f"{type(self).__name__}: the model '{name}' cannot be had ({reason})") from error

    def _load(self) -> None:
        raise NotImplementedError

    def _encode(self, items: list[Any]) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def __call__(self, items: Sequence[Any]) -> Tensor:
        """Encodes pictures or texts.

        Args:
            items (Sequence): ``n`` of them.

        Returns:
            Tensor: Features, ``[n, D]``, float32, on the CPU.
        """
        starts = range(0, max(len(items), 1), self.batch_size)
        parts = [self._encode(list(items[start : start + self.batch_size])).float().cpu() for start in starts]
        return torch.cat(parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.name}', batch_size={self.batch_size}, device='{self.device}')"


class TimmImages(_HubEncoder):
    """Pooled features of a picture by any network of `timm <https://github.com/huggingface/pytorch-image-models>`_.

    Needs the extra ``hub``; weights are fetched when they are not at hand yet.

    Args:
        name (str): Name of the network, such as ``"mobilenetv3_small_100"``.
        batch_size (int): Pictures encoded at once. (default: :obj:`32`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)
        pretrained (bool): With trained weights. (default: :obj:`True`)

    Raises:
        ConfigError: If ``batch_size`` is below one, or the model cannot be had.
        ImportError: If the extra is not installed.

    Example:
        >>> TimmImages("mobilenetv3_small_100")([Image.new("RGB", (64, 64))]).shape  # doctest: +SKIP
        torch.Size([1, 1024])
    """

    def __init__(
        self, name: str, batch_size: int = 32, device: torch.device | str = "cpu", pretrained: bool = True
    ) -> None:
        self.pretrained = pretrained
        super().__init__(name, batch_size, device)

    def _load(self) -> None:
        timm = require("timm", "hub", type(self).__name__)
        self._network = timm.create_model(self.name, pretrained=self.pretrained, num_classes=0)
        self._network.requires_grad_(False).eval().to(self.device)
        self._prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(self._network))

    def _encode(self, items: list[Image.Image]) -> Tensor:
        if not items:
            return torch.empty(0, self._network.num_features)
        pixels = torch.stack([self._prepare(on_white(image)) for image in items])
        out: Tensor = self._network(pixels.to(self.device))
        return out

    def __repr__(self) -> str:
        return super().__repr__()[:-1] + f", pretrained={self.pretrained})"


class HuggingFaceImages(_HubEncoder):
    """Picture features of a `transformers <https://github.com/huggingface/transformers>`_ model: CLIP, ViT, DINOv2.

    The picture embedding where the model has one (``get_image_features``), else the pooled output, else the mean of the
    last layer. Code from the hub is never run, and weights are read from safetensors alone. Needs the extra ``hub``.

    Args:
        name (str): Name of the model, such as ``"openai/clip-vit-base-patch32"``, or a folder.
        batch_size (int): Pictures encoded at once. (default: :obj:`32`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one, or the model cannot be had.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = HuggingFaceImages("openai/clip-vit-base-patch32")  # doctest: +SKIP
        >>> encoder([Image.new("RGB", (64, 64))]).shape  # doctest: +SKIP
        torch.Size([1, 512])
    """

    def _load(self) -> None:
        transformers = require("transformers", "hub", type(self).__name__)
        self._prepare = transformers.AutoImageProcessor.from_pretrained(self.name, trust_remote_code=False)
        self._network = transformers.AutoModel.from_pretrained(self.name, trust_remote_code=False, use_safetensors=True)
        self._network.requires_grad_(False).eval().to(self.device)

    def _encode(self, items: list[Image.Image]) -> Tensor:
        if not items:
            return self._encode([Image.new("RGB", (8, 8))])[:0]
        pixels: Tensor = self._prepare(images=[on_white(image) for image in items], return_tensors="pt")["pixel_values"]
        embed = getattr(self._network, "get_image_features", self._network)
        return _pooled(embed(pixel_values=pixels.to(self.device)))


class HuggingFaceTexts(_HubEncoder):
    """Text features of a `transformers <https://github.com/huggingface/transformers>`_ model: BERT, CLIP.

    The text embedding where the model has one (``get_text_features``), else the mean of the last layer over the tokens
    of a text. Code from the hub is never run, and weights are read from safetensors alone. Needs the extra ``hub``.

    Args:
        name (str): Name of the model, such as ``"bert-base-uncased"``, or a folder.
        batch_size (int): Texts encoded at once. (default: :obj:`32`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one, or the model cannot be had.
        ImportError: If the extra is not installed.

    Example:
        >>> HuggingFaceTexts("bert-base-uncased")(["grinning face"]).shape  # doctest: +SKIP
        torch.Size([1, 768])
    """

    def _load(self) -> None:
        transformers = require("transformers", "hub", type(self).__name__)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(self.name, trust_remote_code=False)
        self._network = transformers.AutoModel.from_pretrained(self.name, trust_remote_code=False, use_safetensors=True)
        self._network.requires_grad_(False).eval().to(self.device)
        config = self._network.config
        config = getattr(config, "text_config", None) or config
        self._longest = min(int(getattr(config, "max_position_embeddings", 512)), 512)

    def _encode(self, items: list[str]) -> Tensor:
        if not items:
            return self._encode([""])[:0]
        tokens = self._tokenizer(items, padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        tokens = tokens.to(self.device)
        if hasattr(self._network, "get_text_features"):
            return _pooled(self._network.get_text_features(**tokens))
        weight: Tensor = tokens["attention_mask"].unsqueeze(-1).float()
        states: Tensor = self._network(**tokens).last_hidden_state
        return (states * weight).sum(1) / weight.sum(1).clamp_min(1)


class SentenceTransformerTexts(_HubEncoder):
    """Sentence embeddings of any `sentence-transformers <https://sbert.net>`_ model.

    Code from the hub is never run. Needs the extra ``hub``.

    Args:
        name (str): Name of the model, such as ``"all-mpnet-base-v2"``, or a folder.
        batch_size (int): Texts encoded at once. (default: :obj:`32`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one, or the model cannot be had.
        ImportError: If the extra is not installed.

    Example:
        >>> SentenceTransformerTexts("all-mpnet-base-v2")(["grinning face"]).shape  # doctest: +SKIP
        torch.Size([1, 768])
    """

    def _load(self) -> None:
        library = require("sentence_transformers", "hub", type(self).__name__)
        self._network = library.SentenceTransformer(
            self.name, device=str(self.device), trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
        self._network.requires_grad_(False).eval()

    def _encode(self, items: list[str]) -> Tensor:
        if not items:
            return self._encode([""])[:0]
        out: Tensor = self._network.encode(
            items, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return out


def _pooled(out: Any) -> Tensor:
    """What a model gives for a whole picture or text, whichever way it gives it."""
    if isinstance(out, Tensor):
        return out
    pooled: Tensor | None = getattr(out, "pooler_output", None)
    if pooled is not None:
        return pooled.flatten(1)
    states: Tensor = out.last_hidden_state
    return states.mean(1) if states.dim() == 3 else states.flatten(2).mean(2)
