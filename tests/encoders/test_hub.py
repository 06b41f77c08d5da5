"""Encoders of the hubs, tried on tiny models made here: no network is asked."""

import sys

import pytest
import torch
from PIL import Image

from torch_geometric_dsom.encoders import HuggingFaceImages, HuggingFaceTexts, SentenceTransformerTexts, TimmImages
from torch_geometric_dsom.encoders.ground import on_white
from torch_geometric_dsom.errors import ConfigError

ALL = (TimmImages, HuggingFaceImages, HuggingFaceTexts, SentenceTransformerTexts)
PICTURES = [Image.new("RGBA", (9 + i, 12), (50 * i, 0, 255, 255)) for i in range(5)]
TEXTS = ["a face", "", "a face with tears of joy", "x"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "face", "with", "tears", "of", "joy", "x"]


def library(name):
    return pytest.importorskip(name, reason="needs the extra 'hub'")


def bert(transformers, folder):
    """A BERT of two layers and twelve words."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=10,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("cls", ALL)
def test_an_absent_package_is_named(cls, monkeypatch):
    for module in ("timm", "transformers", "sentence_transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{cls.__name__} needs .*pip install 'torch_geometric_dsom\[hub\]'"):
        cls("anything")
    with pytest.raises(ConfigError, match="batch_size: expected a positive number, got 0"):
        cls("anything", batch_size=0)


def test_transparent_parts_lie_on_white():
    assert on_white(Image.new("RGBA", (1, 1), (9, 9, 9, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert on_white(Image.new("L", (1, 1), 7)).getpixel((0, 0)) == (7, 7, 7)


def check(encoder, items, width):
    state = torch.get_rng_state()
    together = encoder(items)
    assert together.shape == (len(items), width)
    assert together.dtype == torch.float32
    assert not together.requires_grad
    torch.testing.assert_close(together, torch.cat([encoder([item]) for item in items]), rtol=1e-4, atol=1e-5)
    assert encoder([]).shape == (0, width)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(encoder).__name__ in repr(encoder)
    assert encoder.name in repr(encoder)


def test_timm():
    library("timm")
    encoder = TimmImages("resnet10t", batch_size=2, pretrained=False)
    check(encoder, PICTURES, 512)
    assert repr(encoder) == "TimmImages('resnet10t', batch_size=2, device='cpu', pretrained=False)"
    with pytest.raises(ConfigError, match="TimmImages: the model 'no_such_net' cannot be had"):
        TimmImages("no_such_net", pretrained=False)


def test_images_of_hugging_face(tmp_path):
    transformers = library("transformers")
    library("torchvision")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    check(HuggingFaceImages(str(tmp_path), batch_size=2), PICTURES, 8)


def test_texts_of_hugging_face(tmp_path):
    transformers = library("transformers")
    folder = bert(transformers, tmp_path / "bert")
    encoder = HuggingFaceTexts(str(folder), batch_size=3)
    check(encoder, TEXTS, 8)
    assert torch.equal(encoder(["a " * 100]), encoder(["a " * 8]))  # ten places, two of them for marks
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="HuggingFaceTexts: the model .* cannot be had"):  # never a pickle
        HuggingFaceTexts(str(folder))


def test_sentence_transformers(tmp_path):
    transformers = library("transformers")
    sentence = library("sentence_transformers")
    folder = bert(transformers, tmp_path / "bert")
    models = sentence.sentence_transformer.modules if hasattr(sentence, "sentence_transformer") else sentence.models
    part = models.Transformer(str(folder))
    sentence.SentenceTransformer(modules=[part, models.Pooling(8)], device="cpu").save(str(tmp_path / "whole"))
    check(SentenceTransformerTexts(str(tmp_path / "whole"), batch_size=2), TEXTS, 8)
