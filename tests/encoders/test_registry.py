import pytest

from torch_geometric_dsom.encoders import (
    IMAGE_ENCODERS,
    TEXT_ENCODERS,
    HashedNGrams,
    PixelHistograms,
    encoder_name,
    make_encoder,
)
from torch_geometric_dsom.encoders import registry as module
from torch_geometric_dsom.errors import ConfigError


def test_auto_is_the_trained_one_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert encoder_name("image", "auto") == "pixels"
    assert encoder_name("text", "auto") == "ngrams"
    assert isinstance(make_encoder("image", "auto"), PixelHistograms)
    assert isinstance(make_encoder("text", "auto"), HashedNGrams)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    assert encoder_name("image", "auto") == "efficientnet-lite0"
    assert encoder_name("text", "auto") == "minilm"
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name if name != "transformers" else None)
    assert encoder_name("text", "auto") == "ngrams"  # the weights alone are not enough


def test_none_and_callables():
    assert make_encoder("text", "none") is None
    assert make_encoder("text", len) is len
    assert encoder_name("text", HashedNGrams(8)) == "HashedNGrams(dim=8, ngrams=(3, 5))"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("text", "minilmm", "text_encoder: expected one of .*'minilm'.* got 'minilmm'; did you mean 'minilm'"),
        ("image", "minilm", "image_encoder: expected one of .*'pixels'.* got 'minilm'"),
        ("image", "timm:", "got 'timm:'"),
        ("image", "timm", "got 'timm'; did you mean 'timm:MODEL'"),
        ("text", "ngrams:7", "got 'ngrams:7'"),
        ("text", "", "got ''"),
    ],
)
def test_unknown_names_are_said(kind, name, message):
    with pytest.raises(ConfigError, match=message):
        make_encoder(kind, name)


def test_a_prefix_takes_the_name_of_a_model(monkeypatch):
    monkeypatch.setitem(IMAGE_ENCODERS, "timm:", lambda name: f"network {name}")
    assert make_encoder("image", "timm:a:b/c") == "network a:b/c"
    assert set(TEXT_ENCODERS) == {"minilm", "ngrams", "hf:", "sentence:"}
