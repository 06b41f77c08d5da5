import io
import os
import stat
import warnings
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torch_geometric_dsom.datasets import MMKGFolder, pictures
from torch_geometric_dsom.datasets.pictures import find_pictures, read_picture
from torch_geometric_dsom.errors import DataError


def png(colour=(1, 2, 3, 255), size=(5, 5)):
    out = io.BytesIO()
    Image.new("RGBA", size, colour).save(out, "PNG")
    return out.getvalue()


@given(st.binary(max_size=200), st.booleans(), st.integers(0, 80))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_a_picture_or_nothing(content, damaged, place):
    if damaged:
        whole = png()
        content = whole[:place] + content + whole[place + len(content) :]
    found = read_picture(content)
    assert found is None or found.mode == "RGBA"


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 24)
    assert read_picture(png(size=(4, 6))) is not None
    assert read_picture(png(size=(5, 5))) is None


def archive(folder, members):
    with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)


def mean_colour(batch):
    return torch.stack([torch.tensor(picture.resize((1, 1)).getpixel((0, 0))).float() for picture in batch])


@pytest.fixture
def folder(tmp_path):
    place = (tmp_path / "mine").resolve()
    place.mkdir()
    (place / "train.tsv").write_text("ada\tknows\tbob\nbob\tknows\tcy/d\n", encoding="utf-8")
    return place


def load(folder):
    return MMKGFolder(folder, root=folder.parent / "kept", shares=(0, 0), image_encoder=mean_colour)[0]


@pytest.mark.parametrize("top", ["", "images/"])
def test_an_archive_stands_for_the_folder(folder, top):
    members = [
        (f"{top}bob/2.png", png((30, 0, 0, 255))),
        (f"{top}ada.png", png((10, 0, 0, 255))),
        (f"{top}bob/1.png", png((50, 0, 0, 255))),
        (f"{top}cy%2Fd.jpg", png((7, 0, 0, 255))),
        (f"{top}readme.txt", b"hello"),
        ("__MACOSX/._ada.png", b"rubbish"),
    ]
    archive(folder, members)
    data = load(folder)
    assert data.image_mask.tolist() == [True, True, True]
    assert data.x_image[:, 0].tolist() == [10.0, 40.0, 7.0]
    assert sorted(path.name for path in folder.iterdir()) == ["images.zip", "train.tsv"]  # nothing is unpacked


EVIL = {
    "out by dots": ("../ada.png", "expected a name inside the archive"),
    "out by dots inside": ("bob/../../ada.png", "expected a name inside the archive"),
    "an absolute name": ("/tmp/ada.png", "expected a name inside the archive"),
    "a name of another system": ("..\\ada.png", "expected a name inside the archive"),
    "a stranger": ("nobody.png", "expected an entity of the facts as name, got 'nobody'"),
    "too deep": ("a/b/c.png", "got a deeper folder"),
}


@pytest.mark.parametrize("name", EVIL)
def test_evil_archives_are_refused(folder, name):
    member, message = EVIL[name]
    archive(folder, [("ada.png", png()), (member, png())])
    with pytest.raises(DataError, match=message):
        load(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) in (["kept", "mine"], ["mine"])
    assert not list((folder.parent).rglob("*.safetensors"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rubbish", b"not an archive", png()])
def test_what_is_no_archive_is_refused(folder, content):
    (folder / "images.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"images.zip: expected a zip archive"):
        load(folder)


def test_two_members_of_one_name_are_refused(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive(folder, [("ada.png", png()), ("ada.png", png((9, 9, 9, 255)))])
    with pytest.raises(DataError, match="expected one file of that name, got two"):
        load(folder)


def test_folder_and_archive_together_are_refused(folder):
    archive(folder, [("ada.png", png())])
    (folder / "images").mkdir()
    with pytest.raises(DataError, match=r"expected images or images.zip, found both"):
        load(folder)


def test_broken_members_are_counted_and_their_rows_masked(folder, monkeypatch):
    link = zipfile.ZipInfo("cy%2Fd.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16  # what unzip would make a link of is only bytes here
    archive(folder, [("ada.png", png()), ("bob.png", png()[:50]), (link, b"/etc/passwd")])
    with pytest.warns(UserWarning, match="2 pictures cannot be read and are left out, the first is .*bob.png"):
        assert load(folder).image_mask.tolist() == [True, False, False]


def test_a_member_with_a_wrong_sum_is_counted(folder):
    content = png()
    with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_STORED) as file:
        file.writestr("ada.png", content)
        file.writestr("bob.png", png((200, 0, 0, 255)))
    raw = bytearray((folder / "images.zip").read_bytes())
    raw[raw.index(content) + 45] ^= 0xFF
    (folder / "images.zip").write_bytes(raw)
    with pytest.warns(UserWarning, match="1 pictures cannot be read"):
        assert load(folder).image_mask.tolist() == [False, True, False]


def test_a_huge_file_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 1000)
    archive(folder, [("ada.png", png() + bytes(5000)), ("bob.png", png())])  # zeros behind: 5 kB as 100 bytes
    with pytest.warns(UserWarning, match="1 pictures cannot be read and are left out, the first is .*ada.png"):
        assert load(folder).image_mask.tolist() == [False, True, False]
    (folder / "images.zip").unlink()
    (folder / "images").mkdir()
    (folder / "images" / "ada.png").write_bytes(png() + bytes(5000))
    with pytest.warns(UserWarning, match="1 pictures cannot be read"):
        assert "x_image" not in load(folder)


def test_a_member_that_lies_about_its_size_is_cut_off(folder, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 2000)
    archive(folder, [("ada.png", png() + bytes(500_000))])
    raw = (folder / "images.zip").read_bytes()
    size = len(png()) + 500_000
    (folder / "images.zip").write_bytes(raw.replace(size.to_bytes(4, "little"), (300).to_bytes(4, "little")))
    with pytest.warns(UserWarning, match="1 pictures cannot be read"):
        assert "x_image" not in load(folder)


def test_an_archive_with_a_password_is_refused(folder):
    archive(folder, [("ada.png", png())])
    raw = bytearray((folder / "images.zip").read_bytes())
    central = raw.index(b"PK\x01\x02")
    raw[central + 8] |= 1
    (folder / "images.zip").write_bytes(raw)
    with pytest.raises(DataError, match="expected a file without a password"):
        load(folder)


def test_a_link_to_an_archive_outside_is_refused(folder):
    archive(folder.parent, [("ada.png", png())])
    os.symlink(folder.parent / "images.zip", folder / "images.zip")
    with pytest.raises(DataError, match="got a link out of it"):
        load(folder)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_archive_is_an_error_of_ours_or_pictures(tmp_path_factory, place, content):
    folder = tmp_path_factory.mktemp("zip").resolve()
    archive(folder, [("ada.png", png()), ("bob/1.png", png())])
    raw = (folder / "images.zip").read_bytes()
    (folder / "images.zip").write_bytes(raw[:place] + content + raw[place + len(content) :])
    try:
        found = find_pictures(folder)
    except DataError:
        return
    for picture in found:
        read_picture(picture.read())
