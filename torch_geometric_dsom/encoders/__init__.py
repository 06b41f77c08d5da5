"""Encoders of pictures and texts: trained ones whose weights come inside packages, light ones that need none, and
those of the hubs by name."""

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
from torch_geometric_dsom.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, encoder_name, make_encoder

__all__ = [
    "IMAGE_ENCODERS",
    "TEXT_ENCODERS",
    "EfficientNetLite0",
    "HashedNGrams",
    "HuggingFaceImages",
    "HuggingFaceTexts",
    "MiniLM",
    "PixelHistograms",
    "SentenceTransformerTexts",
    "TimmImages",
    "encoder_name",
    "make_encoder",
]
