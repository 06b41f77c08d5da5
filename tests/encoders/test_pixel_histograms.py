import numpy as np
import torch
from PIL import Image

from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.encoders import PixelHistograms
from torch_geometric_dsom.encoders.pixel_histograms import _histograms


def test_histograms_by_hand():
    counts = _histograms(Image.new("RGBA", (10, 30), (255, 0, 0, 255)))
    colours, edges, outline = counts[:256].reshape(4, 64), counts[256:384], counts[384:]
    assert (colours[:, 3 * 16] == 0.25).all()  # red at the highest of four levels, in each quarter
    assert colours.sum() == 1
    assert (edges == 0).all()
    assert np.allclose(outline, 1 / 16)


def test_an_edge_is_counted_by_its_angle_and_cell():
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("black", (0, 0, 24, 64))  # an upright edge in the second column of cells
    edges = _histograms(picture)[256:384].reshape(4, 4, 8)
    assert np.allclose(edges[:, 1, 0], 0.25)
    assert np.isclose(edges.sum(), 1)


def test_transparent_parts_are_white_and_outside():
    clear = _histograms(Image.new("RGBA", (9, 9), (255, 0, 0, 0)))
    assert (clear[:256].reshape(4, 64)[:, 63] == 0.25).all()
    assert (clear[256:] == 0).all()


def test_batches_do_not_matter_and_like_is_near(tmp_path):
    dataset, encoder = EmojiWorld(tmp_path), PixelHistograms()
    data = dataset[0]
    flags = [i for i, name in enumerate(data.entity_ids) if name.startswith("territory:") and data.image_mask[i]][:3]
    faces = [i for i in range(3) if data.image_mask[i]]
    pictures = [dataset.image(i) for i in faces + flags]
    x = encoder(pictures)
    assert x.shape == (6, encoder.dim)
    assert torch.equal(x, torch.cat([encoder([picture]) for picture in pictures]))
    near = x @ x.T
    assert near[:3, :3].min() > near[:3, 3:].max()  # faces are nearer to faces than to flags
    assert encoder([]).shape == (0, encoder.dim)
    assert encoder([Image.new("P", (1, 500))]).isfinite().all()
