import io

import pytest
from PIL import Image

from torch_geometric_dsom.datasets import EmojiWorld, Gallery, MMKGFolder


def test_emoji_world(tmp_path):
    dataset = EmojiWorld(tmp_path)
    data = dataset[0]
    gallery = Gallery.of("EmojiWorld", data)
    with_picture = data.image_mask.nonzero().flatten().tolist()
    assert len(gallery) == len(with_picture)
    without = int((~data.image_mask).nonzero()[0, 0])
    assert gallery.image(without) is None
    assert gallery.png(without) is None
    assert gallery.image(with_picture[5]).tobytes() == dataset.image(with_picture[5]).tobytes()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    (folder / "images" / "ada").mkdir(parents=True)
    (folder / "train.tsv").write_text("ada\tknows\ta/b\na/b\tknows\teve\n", encoding="utf-8")
    for name, colour in (("ada/2.png", "blue"), ("ada/1.png", "red"), ("a%2Fb.png", "green")):
        Image.new("RGB", (300, 150), colour).save(folder / "images" / name)
    (folder / "images" / "eve.png").write_bytes(b"no picture")
    return folder


def test_a_folder(folder, tmp_path):
    with pytest.warns(UserWarning, match="1 pictures cannot be read"):
        data = MMKGFolder(folder, tmp_path / "kept", image_encoder="pixels", shares=(0, 0))[0]
    gallery = Gallery.of(str(folder), data)
    row = {label: number for number, label in enumerate(data.entity_ids)}
    assert gallery.image(row["ada"]).getpixel((0, 0)) == (255, 0, 0, 255)  # the first one by name
    assert gallery.image(row["a/b"]).getpixel((0, 0))[1] == 128
    assert gallery.image(row["eve"]) is None
    small = Image.open(io.BytesIO(gallery.png(row["ada"], size=64)))
    assert (small.format, small.size) == ("PNG", (64, 32))


def test_a_graph_without_pictures(small_graph):
    gallery = Gallery.of("WN18", small_graph)
    assert len(gallery) == 0
    assert gallery.image(3) is None
    assert repr(gallery) == "Gallery(0)"
