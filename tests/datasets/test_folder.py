import io
import os

import pytest
import torch
from PIL import Image

from torch_geometric_dsom.data import split_triples, validate
from torch_geometric_dsom.datasets import MMKGFolder, load_dataset, write_features, write_folder
from torch_geometric_dsom.errors import DataError

FACTS = [("ada", "knows", "bob"), ("bob", "knows", "cy/d"), ("cy/d", "likes", "ada"), ("ada", "likes", "cy/d")]


def mean_colour(pictures):
    """A tiny encoder: the mean of each channel."""
    return torch.stack([torch.tensor(list(p.resize((1, 1)).getpixel((0, 0)))).float() for p in pictures])


def lengths(texts):
    return torch.tensor([[float(len(text))] for text in texts])


def picture(path, colour, kind="PNG", size=(5, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "RGB" if kind == "JPEG" else "RGBA"
    Image.new(mode, size, colour).save(path, kind)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "train.tsv").write_text("".join("\t".join(fact) + "\n" for fact in FACTS), encoding="utf-8")
    return place


def load(folder, **options):
    options = {"shares": (0, 0), "image_encoder": mean_colour, "text_encoder": lengths, **options}
    return MMKGFolder(folder, root=folder.parent / "kept", **options)


def named(data, split="train"):
    return [
        (data.entity_ids[h], data.relation_ids[r], data.entity_ids[t])
        for h, r, t in split_triples(data, split).tolist()
    ]


def test_facts_alone_are_enough(folder):
    data = load(folder)[0]
    assert named(data) == FACTS
    assert "x_image" not in data
    assert "x_text" not in data
    validate(data)


def test_texts_and_pictures_become_features_and_masks(folder):
    (folder / "texts.tsv").write_text("bob\ta builder\ncy/d\t\n", encoding="utf-8")
    picture(folder / "images" / "ada.png", (10, 20, 30, 255))
    picture(folder / "images" / "cy%2Fd" / "1.webp", (100, 0, 0, 255), "WEBP")
    picture(folder / "images" / "cy%2Fd" / "2.png", (0, 100, 0, 255))
    (folder / "images" / "notes.txt").write_text("no picture", encoding="utf-8")
    data = load(folder)[0]
    assert data.text_mask.tolist() == [False, True, False]
    assert data.x_text.flatten().tolist() == [0.0, 9.0, 0.0]
    assert data.entity_texts == ["", "a builder", ""]
    assert data.image_mask.tolist() == [True, False, True]
    assert data.x_image[0].tolist() == [10.0, 20.0, 30.0, 255.0]
    assert data.x_image[1].tolist() == [0.0] * 4
    assert torch.allclose(data.x_image[2, :2], torch.tensor([50.0, 50.0]), atol=3.0)  # the mean of both, WebP is lossy
    validate(data)


def test_many_pictures_are_encoded_in_batches(folder):
    for number in range(131):
        picture(folder / "images" / "bob" / f"{number}.png", (number, 0, 0, 255))
    sizes = []
    data = load(folder, image_encoder=lambda batch: sizes.append(len(batch)) or mean_colour(batch))[0]
    assert sizes == [64, 64, 3]
    assert data.x_image[1].tolist() == [65.0, 0.0, 0.0, 255.0]


def test_csv_nt_and_held_out_files(folder):
    (folder / "train.tsv").unlink()
    (folder / "train.csv").write_text('head,relation,tail\n"Doe, J",knows,b\nb,knows,"Doe, J"\n', encoding="utf-8")
    (folder / "valid.nt").write_text('<b> <knows> <c> .\n# a comment\n\n<b> <named> "B"@en .\n', encoding="utf-8")
    (folder / "test.tsv").write_bytes("\ufeffc\tknows\tb\r\n".encode())
    with pytest.warns(UserWarning, match="valid.nt: 1 facts with a literal or a blank node are left out"):
        data = load(folder)[0]
    assert named(data) == [("Doe, J", "knows", "b"), ("b", "knows", "Doe, J")]
    assert named(data, "val") == [("b", "knows", "c")]
    assert named(data, "test") == [("c", "knows", "b")]


def test_missing_splits_are_drawn(folder):
    ring = "".join(f"e{i}\tnear\te{(i + s) % 20}\n" for i in range(20) for s in (1, 3))
    (folder / "train.tsv").write_text(ring, encoding="utf-8")
    data = load(folder, shares=(0.1, 0.1))[0]
    assert [len(named(data, split)) for split in ("train", "val", "test")] == [32, 4, 4]


def test_the_processed_graph_follows_the_folder(folder):
    calls = []
    options = {"text_encoder": (encoder := Recording(calls)), "image_encoder": Named([])}
    (folder / "texts.tsv").write_text("bob\ta builder\n", encoding="utf-8")
    for _ in range(2):
        load(folder, **options)
    assert len(calls) == 1  # kept
    (folder / "texts.tsv").write_text("bob\tbuilds\n", encoding="utf-8")
    assert load(folder, **options)[0].x_text[1].item() == 6.0
    picture(folder / "images" / "ada.png", (1, 2, 3, 255))
    assert "x_image" in load(folder, **options)[0]
    assert encoder.calls == [1, 1]  # a new picture does not make the texts new


class Recording:
    def __init__(self, calls):
        self.calls = calls

    def __call__(self, texts):
        self.calls.append(len(texts))
        return lengths(texts)

    def __repr__(self):
        return "Recording()"


class Named(Recording):
    def __call__(self, pictures):
        return mean_colour(pictures)


BAD_TRAIN = {
    "two columns": ("a\tb\n", "expected 3 tab-separated columns"),
    "four columns": ("a\tb\tc\td\n", "expected 3 tab-separated columns"),
    "spaces": ("a b c\n", "expected 3 tab-separated columns"),
    "empty tail": ("a\tb\t \n", "expected head, relation and tail"),
    "nothing": ("\n\n", "expected at least one fact, got none"),
    "a header alone": ("head\trelation\ttail\n", "expected at least one fact, got none"),
}


@pytest.mark.parametrize("name", BAD_TRAIN)
def test_bad_facts_are_one_clear_error_and_nothing_is_kept(folder, name):
    text, message = BAD_TRAIN[name]
    (folder / "train.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load(folder)
    assert not list((folder.parent / "kept").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.tsv", b"caf\xe9\tr\tb\n", "train.tsv:1: expected UTF-8, got the byte 0xe9"),
        ("valid.nt", b"<a> <b> c\n", "valid.nt:1: expected '<head> <relation> <tail> .'"),
        ("valid.csv", b'a,b,"c\n', "valid.csv"),
        ("valid.csv", b"a,b\n", "valid.csv:1: expected head, relation and tail"),
        ("texts.tsv", b"nobody\ttext\n", "expected entities of the facts, got 'nobody'"),
        ("texts.tsv", b"bob\tone\nbob\ttwo\n", "expected one text an entity, got a second one of 'bob'"),
        ("texts.tsv", b"bob\n", "expected 2 tab-separated columns"),
        ("train.csv", b"a,b,c\n", "expected one file of train facts"),
        ("images/nobody.png", b"", "expected an entity of the facts as name, got 'nobody'"),
        ("images/a/b/c.png", b"", "got a deeper folder"),
    ],
)
def test_a_bad_file_is_named(folder, name, content, message):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(folder)


def png(size=(5, 5)):
    out = io.BytesIO()
    Image.new("RGBA", size, (1, 2, 3, 255)).save(out, "PNG")
    return out.getvalue()


BROKEN_PICTURES = {
    "empty": b"",
    "truncated": png((200, 200))[:60],
    "text": b"not a picture at all",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a gif": b"GIF89a" + b"\0" * 40,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a zip": b"PK\x03\x04" + b"\0" * 60,
    "a bomb": png()[:16] + (200_000).to_bytes(4, "big") * 2 + png()[24:],
    "a changed byte": png()[:40] + b"\xff\xff" + png()[42:],
}


@pytest.mark.parametrize("name", BROKEN_PICTURES)
def test_a_broken_picture_is_counted_and_its_row_masked(folder, name):
    (folder / "images").mkdir()
    (folder / "images" / "ada.png").write_bytes(BROKEN_PICTURES[name])
    picture(folder / "images" / "bob.jpg", (9, 9, 9), "JPEG")
    with pytest.warns(UserWarning, match="1 pictures cannot be read and are left out, the first is .*ada.png"):
        data = load(folder)[0]
    assert data.image_mask.tolist() == [False, True, False]


def test_links_out_of_the_folder_are_refused(folder, tmp_path):
    secret = tmp_path / "secret.png"
    picture(secret, (1, 1, 1, 255))
    (folder / "images").mkdir()
    os.symlink(secret, folder / "images" / "ada.png")
    with pytest.raises(DataError, match="expected a file inside .* got a link out of it"):
        load(folder)
    (folder / "images" / "ada.png").unlink()
    (tmp_path / "texts.tsv").write_text("bob\tx\n", encoding="utf-8")
    os.symlink(tmp_path / "texts.tsv", folder / "texts.tsv")
    with pytest.raises(DataError, match="got a link out of it"):
        load(folder)


def test_encoders_are_checked(folder):
    (folder / "texts.tsv").write_text("bob\ta builder\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"text_encoder: expected a tensor \[1, D\], got \[2, 3\]"):
        load(folder, text_encoder=lambda texts: torch.zeros(2, 3))
    with pytest.raises(DataError, match="text_encoder: expected finite features"):
        load(folder, text_encoder=lambda texts: torch.full((1, 3), torch.inf))


def test_no_folder_and_the_registry(folder, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="expected a folder, found none"):
        MMKGFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"expected train.tsv, train.csv or train.nt, found none"):
        MMKGFolder(tmp_path / "mine" / ".." / "mine", root=tmp_path / "k") if (
            folder / "train.tsv"
        ).unlink() is None else None
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    ring = "".join(f"e{i}\tnear\te{(i + s) % 20}\n" for i in range(20) for s in (1, 3))
    (folder / "train.tsv").write_text(ring, encoding="utf-8")
    assert load_dataset(str(folder)).num_nodes == 20
    assert list((tmp_path / "home" / "MMKGFolder").iterdir())


def test_features_in_the_folder_stand_in_the_place_of_encoding(folder):
    def never(items):
        pytest.fail("an encoder was called")

    (folder / "texts.tsv").write_text("bob\ta builder\n", encoding="utf-8")
    picture(folder / "images" / "ada.png", (1, 2, 3, 255))
    write_features(folder / "features" / "text.npz", torch.tensor([[1.0, 2.0]]), ["cy/d"])
    write_features(folder / "features" / "image.npz", torch.tensor([[3.0]]), ["bob"])
    write_features(folder / "features" / "sound.npz", torch.eye(3))
    data = load(folder, image_encoder=never, text_encoder=never)[0]
    assert data.x_text.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
    assert data.image_mask.tolist() == [False, True, False]
    assert torch.equal(data.x_sound, torch.eye(3))
    assert data.entity_texts == ["", "a builder", ""]
    validate(data)
    write_features(folder / "features" / "sound.npz", torch.eye(3)[:, :2])
    assert load(folder, image_encoder=never, text_encoder=never)[0].x_sound.shape == (3, 2)
    torch.save(torch.eye(3), folder / "features" / "sound.pt")
    with pytest.raises(DataError, match=r"sound.pt: expected one file a modality, got sound.npz as well"):
        load(folder)


def test_what_write_folder_writes_is_the_same_graph(small_graph, tmp_path):
    data = MMKGFolder(write_folder(small_graph, tmp_path / "out"), root=tmp_path / "kept")[0]
    back = [data.entity_ids.index(name) for name in small_graph.entity_ids]
    for name in ("text", "image"):
        assert torch.equal(data[f"x_{name}"][back], small_graph[f"x_{name}"])
        assert torch.equal(data[f"{name}_mask"][back], small_graph[f"{name}_mask"])
    assert set(named(data, "test")) == set(named(small_graph, "test"))


def test_light_encoders_are_there_without_any_extra(folder, monkeypatch):
    monkeypatch.setattr("torch_geometric_dsom.encoders.registry.importlib.util.find_spec", lambda name: None)
    (folder / "texts.tsv").write_text("bob\ta builder\n", encoding="utf-8")
    picture(folder / "images" / "ada.png", (1, 2, 3, 255))
    data = load(folder, image_encoder="auto", text_encoder="auto")[0]
    assert data.x_image.shape == (3, 1200)
    assert data.x_text.shape == (3, 512)
    data = load(folder, image_encoder="none", text_encoder="none")[0]
    assert "x_image" not in data
    assert "x_text" not in data
