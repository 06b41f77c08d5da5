import copy
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from torch_geometric_dsom.data.validate import validate
from torch_geometric_dsom.datasets import EmojiWorld, default_root
from torch_geometric_dsom.encoders import PixelHistograms
from torch_geometric_dsom.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EmojiWorld:
    return EmojiWorld(tmp_path_factory.mktemp("emoji"))


@pytest.fixture(scope="module")
def data(dataset: EmojiWorld) -> Data:
    return dataset[0]


class AddOne:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, data: Data) -> Data:
        data = copy.copy(data)
        data[self.name] = data.get(self.name, 0) + 1
        return data

    def __repr__(self) -> str:
        return f"AddOne({self.name})"


def test_counts(data: Data) -> None:
    assert (data.num_nodes, data.num_relations) == (4010, 21)
    assert data.edge_index.shape == (2, 8903)
    assert data.val_edge_index.shape == data.test_edge_index.shape == (2, 1114)
    assert data.edge_type.shape == (8903,)
    assert data.val_edge_type.shape == data.test_edge_type.shape == (1114,)
    assert int(data.image_mask.sum()) == 1894
    assert bool(data.text_mask.all())
    assert data.edge_type.unique().numel() == 21


def test_keeps_the_contract(data: Data) -> None:
    assert type(data) is Data
    report = validate(data)
    assert set(report.duplicates.values()) == set(report.overlap.values()) == {0}
    assert report.unseen_entities == report.unseen_test_facts == 0
    for modality in report.modalities.values():
        assert modality.zero_rows == modality.stray_rows == 0
    assert data.x_image.shape == (4010, 1280)
    assert data.x_text.shape == (4010, 384)
    assert data.x_image.dtype == data.x_text.dtype == torch.float32
    assert torch.allclose(data.x_text.norm(dim=1), torch.ones(4010), atol=1e-3)


def test_names_and_a_fact_by_hand(data: Data) -> None:
    assert data.entity_ids[0] == "emoji:1F600"
    assert data.entity_labels[0] == data.entity_texts[0] == "grinning face"
    assert data.entity_kinds.count("emoji") == 1644
    assert data.entity_kinds.count("territory") == 258
    assert data.relation_ids[4] == data.relation_labels[4] == "borders"
    assert len(set(data.entity_ids)) == 4010
    facts = torch.cat([data.edge_index, data.val_edge_index, data.test_edge_index], dim=1)
    kinds = torch.cat([data.edge_type, data.val_edge_type, data.test_edge_type])
    swiss, german = (data.entity_ids.index(f"territory:{code}") for code in ("CH", "DE"))
    asked = (facts[0] == swiss) & (facts[1] == german)
    assert [data.relation_ids[r] for r in kinds[asked]] == ["borders"]


def test_text_of_a_word_sense_is_words_and_gloss(dataset: EmojiWorld, data: Data) -> None:
    row = data.entity_ids.index("synset:02885462")
    assert data.entity_labels[row] == "boxing glove"
    assert dataset.text(row).startswith("boxing glove, glove: boxing equipment consisting of")
    assert dataset.text(row) == data.entity_texts[row]


def test_pictures_stand_where_the_mask_says(dataset: EmojiWorld, data: Data) -> None:
    picture = dataset.image(0)
    assert picture is not None
    assert (picture.mode, picture.size) == ("RGBA", (64, 64))
    assert picture.getpixel((0, 0))[3] == 0  # the corner is transparent
    red, green, blue, alpha = picture.getpixel((32, 20))
    assert alpha == 255
    assert min(red, green) > blue  # a face is yellow
    assert [dataset.image(i) is not None for i in range(0, 4010, 41)] == data.image_mask[::41].tolist()


@pytest.mark.parametrize("row", [-1, 4010])
def test_index_out_of_range(dataset: EmojiWorld, row: int) -> None:
    for read in (dataset.image, dataset.text):
        with pytest.raises(IndexError, match=rf"expected an entity in \[0, 4010\), got {row}"):
            read(row)


def test_is_an_in_memory_dataset(dataset: EmojiWorld) -> None:
    assert isinstance(dataset, InMemoryDataset)
    assert len(dataset) == 1
    assert repr(dataset) == "EmojiWorld()"
    assert len(dataset[:1]) == 1
    files = [path.name for path in Path(dataset.processed_dir).iterdir() if path.name != ".lock"]
    assert files == ["clean.safetensors"]


def test_splits(dataset: EmojiWorld, data: Data) -> None:
    official = EmojiWorld(dataset.root, split="official")[0]
    assert torch.equal(official.val_edge_index, data.val_edge_index)
    with pytest.raises(ConfigError, match=r"split: expected one of .*, got 'offical'; did you mean 'official'\?"):
        EmojiWorld(dataset.root, split="offical")


def test_reload_is_the_same_and_reads_the_file(dataset: EmojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmojiWorld, "build", lambda self: pytest.fail("the processed graph was not read"))
    first, again = dataset[0].to_dict(), EmojiWorld(dataset.root)[0].to_dict()
    assert list(first) == list(again)
    for name, value in first.items():
        assert torch.equal(value, again[name]) if isinstance(value, Tensor) else value == again[name]


def test_transforms(tmp_path: Path) -> None:
    dataset = EmojiWorld(tmp_path, transform=AddOne("seen"), pre_transform=AddOne("made"))
    assert (dataset[0].seen, dataset[0].made) == (1, 1)
    again = EmojiWorld(tmp_path, pre_transform=AddOne("made"))[0]
    assert again.made == 1
    assert "seen" not in again
    assert "made" not in EmojiWorld(tmp_path)[0]  # another pre_transform: made anew


def test_damage_and_force_reload_make_it_anew(tmp_path: Path) -> None:
    path = Path(EmojiWorld(tmp_path).processed_paths[0])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert EmojiWorld(tmp_path)[0].num_nodes == 4010
    assert path.read_bytes() == whole
    before = path.stat().st_mtime_ns
    EmojiWorld(tmp_path)
    assert path.stat().st_mtime_ns == before
    EmojiWorld(tmp_path, force_reload=True)
    assert path.stat().st_mtime_ns != before


def test_stays_in_memory_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "processed").write_text("a file in the place of the folder")
    with pytest.warns(UserWarning, match="could not be written, the graph stays in memory"):
        assert EmojiWorld(tmp_path)[0].num_nodes == 4010


def test_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DSOM_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root("A") == tmp_path / "torch_geometric_dsom" / "A"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root("A") == tmp_path / ".cache" / "torch_geometric_dsom" / "A"
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    assert default_root("A") == tmp_path / "home" / "A"


def test_reencode_with_any_callable(dataset: EmojiWorld, data: Data) -> None:
    counted: list[int] = []

    def brightness(pictures: list[Image.Image]) -> Tensor:
        counted.append(len(pictures))
        return torch.tensor([[1.0, float(picture.width)] for picture in pictures], dtype=torch.float64)

    new = dataset.reencode(brightness, lambda texts: torch.tensor([[float(len(text))] for text in texts]))
    assert sum(counted) == 1880  # of 1,894 pictures some are the same, byte by byte
    assert max(counted) == 64
    assert torch.equal(new.image_mask, data.image_mask)
    assert torch.equal(new.x_image, data.image_mask.unsqueeze(1) * torch.tensor([1.0, 64.0]))
    assert new.x_text[0].tolist() == [13.0]
    assert validate(new).modalities["text"].dim == 1
    assert dataset[0].x_text.shape == (4010, 384)  # the data set itself stays as it is


def test_reencode_by_name_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = EmojiWorld(tmp_path)
    new = dataset.reencode("pixels", "none")
    assert new.x_image.shape == (4010, 1200)
    assert torch.equal(new.image_mask, dataset[0].image_mask)
    assert "x_text" not in new
    monkeypatch.setattr(PixelHistograms, "__call__", None)  # not called again
    assert torch.equal(EmojiWorld(tmp_path).reencode("pixels").x_image, new.x_image)


def test_reencode_refuses(dataset: EmojiWorld) -> None:
    with pytest.raises(ConfigError, match="expected at least one of them"):
        dataset.reencode()
    with pytest.raises(DataError, match=r"text_encoder: expected a tensor \[64, D\], got \[64\]"):
        dataset.reencode(text_encoder=lambda texts: torch.zeros(len(texts)))
    with pytest.raises(DataError, match="got NaN or infinity in row 0"):
        dataset.reencode(text_encoder=lambda texts: torch.full((len(texts), 2), torch.nan))
