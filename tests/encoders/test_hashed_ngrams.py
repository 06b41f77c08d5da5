import pytest
import torch

from torch_geometric_dsom.encoders import HashedNGrams
from torch_geometric_dsom.errors import ConfigError


def test_shape_length_and_empty_texts():
    encoder = HashedNGrams(dim=64)
    x = encoder(["grinning face", "", "?!", "日本 語"])
    assert x.shape == (4, 64)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.norm(dim=1), torch.tensor([1.0, 0.0, x[2].norm().item(), 1.0]))
    assert encoder([]).shape == (0, 64)


def test_batches_and_order_do_not_matter_and_words_do():
    encoder = HashedNGrams()
    texts = ["a red car", "the red cars", "income tax", "tax on income"]
    together = encoder(texts)
    assert torch.equal(together, torch.cat([HashedNGrams()([text]) for text in texts]))
    near = together @ together.T
    assert near[0, 1] > near[0, 2]
    assert near[2, 3] > near[1, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim: expected a positive number, got 0"),
        ({"ngrams": (3, 2)}, r"ngrams: .* got \(3, 2\)"),
        ({"ngrams": (0, 2)}, "ngrams"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        HashedNGrams(**options)


def test_repr_tells_all():
    assert repr(HashedNGrams(8, (2, 3))) == "HashedNGrams(dim=8, ngrams=(2, 3))"
