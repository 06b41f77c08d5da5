"""The benchmark graphs, from the mirror that DSOM_DATA names; and their machinery, from a small mirror made here."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from torch_geometric_dsom.data import split_triples, validate
from torch_geometric_dsom.datasets import (
    DATASETS,
    DB15K,
    MKGW,
    MKGY,
    WN9,
    WN18,
    BenchmarkGraph,
    FB15k237,
    RemoteFile,
    load_dataset,
)
from torch_geometric_dsom.datasets import benchmark_graph as module
from torch_geometric_dsom.datasets.benchmark_graph import Card, attach_npz
from torch_geometric_dsom.errors import ConfigError, DataError

MIRROR = os.environ.get("DSOM_DATA")
GRAPHS = (DB15K, MKGW, MKGY, FB15k237, WN18, WN9)
needs_mirror = pytest.mark.skipif(not MIRROR, reason="DSOM_DATA does not name a mirror of the benchmark graphs")


@needs_mirror
@pytest.mark.parametrize("cls", GRAPHS)
def test_counts_are_those_of_the_card(cls, tmp_path):
    if cls is DB15K:
        with pytest.warns(UserWarning, match="6,584 are training facts"):
            data = cls(tmp_path, split="official", text_encoder="none")[0]
    else:
        data = cls(tmp_path, split="official", text_encoder="none")[0]
    card = cls.card
    assert (data.num_nodes, data.num_relations) == (card.num_entities, card.num_relations)
    assert tuple(split_triples(data, split).size(0) for split in ("train", "val", "test")) == card.num_facts
    assert len(data.entity_labels) == len(data.entity_ids) == len(data.entity_texts) == card.num_entities
    assert len(set(data.entity_ids)) == card.num_entities
    assert all(data.entity_labels)
    validate(data)


@needs_mirror
@pytest.mark.parametrize(
    ("cls", "unseen", "overlap"), [(MKGW, 491, 0), (MKGY, 612, 0), (FB15k237, 36, 0), (WN18, 0, 0), (WN9, 0, 0)]
)
def test_the_field_notes_facts_hold(cls, unseen, overlap, tmp_path):
    data = cls(tmp_path, text_encoder="none")[0]
    train = set(data.edge_index.flatten().tolist())
    assert data.num_nodes - len(train) == unseen
    rows = [{tuple(row) for row in split_triples(data, split).tolist()} for split in ("train", "val", "test")]
    assert len(rows[0] & rows[1]) + len(rows[0] & rows[2]) + len(rows[1] & rows[2]) == overlap


@needs_mirror
def test_db15ks_public_validation_file_is_as_broken_as_they_say(tmp_path):
    with pytest.warns(UserWarning, match="the public validation file is none"):
        data = DB15K(tmp_path, split="official", text_encoder="none")[0]
    rows = [{tuple(row) for row in split_triples(data, split).tolist()} for split in ("train", "val", "test")]
    assert len(rows[1]) == 7481
    assert len(rows[1] & rows[0]) == 6584
    assert len(rows[1] & rows[2]) == 824


@needs_mirror
def test_db15ks_clean_split_is_clean_fixed_and_spares_what_it_must(tmp_path):
    clean = DB15K(tmp_path / "a", text_encoder="none")[0]
    again = DB15K(tmp_path / "b", text_encoder="none")[0]
    assert torch.equal(clean.val_edge_index, again.val_edge_index)
    assert clean.val_edge_type.numel() == 79_222 // 20
    rows = [{tuple(row) for row in split_triples(clean, split).tolist()} for split in ("train", "val", "test")]
    assert not rows[1] & rows[0]
    assert not rows[1] & rows[2]
    assert set(clean.val_edge_index.flatten().tolist()) <= set(clean.edge_index.flatten().tolist())
    with pytest.warns(UserWarning, match="the public validation file is none"):
        official = DB15K(tmp_path / "a", split="official", text_encoder="none")[0]
    assert torch.equal(clean.edge_type.unique(), official.edge_type.unique())
    assert torch.equal(clean.edge_index.unique(), official.edge_index.unique())
    train = {tuple(row) for row in split_triples(official, "train").tolist()}
    assert rows[0] | rows[1] == train


@needs_mirror
@pytest.mark.parametrize("text_encoder", ["none", "ngrams"])
def test_db15k_is_quick(tmp_path, text_encoder):
    start = time.perf_counter()
    DB15K(tmp_path, text_encoder=text_encoder)
    raw = time.perf_counter() - start
    start = time.perf_counter()
    DB15K(tmp_path, text_encoder=text_encoder)
    kept = time.perf_counter() - start
    assert raw < 3.0
    assert kept < 0.3


@needs_mirror
def test_wn9_has_the_images_that_there_are(tmp_path):
    data = WN9(tmp_path, text_encoder="none")[0]
    assert int(data.image_mask.sum()) == 399
    assert data.x_image.shape == (6555, 1280)
    with np.load(Path(MIRROR) / "WN9-IMG" / "imagenet_sample_lite0.npz") as file:
        row = int(data.image_mask.nonzero()[7])
        place = file["wnid"].tolist().index(data.entity_ids[row])
        assert torch.equal(data.x_image[row], torch.from_numpy(file["lite0"][place]).float())


# --- a small mirror ---------------------------------------------------------------------------------------------------

FACTS = {"train.tsv": [(0, 0, 1), (1, 1, 2), (2, 0, 0), (0, 1, 2)], "valid.tsv": [(0, 0, 2)], "test.tsv": [(1, 0, 0)]}
TEXTS = {
    **{name: "".join(f"{h}\t{r}\t{t}\n" for h, r, t in rows) for name, rows in FACTS.items()},
    "entities.tsv": "a\tAda\tmathematician\t\nb\t\t\t\nc\tCharles\t\tinventor of engines\n",
    "relations.tsv": "p\tknows\nq\t\n",
}
OPENKE = {
    **{name: f"{len(rows)}\n" + "".join(f"{h} {t} {r}\n" for h, r, t in rows) for name, rows in FACTS.items()},
    "entities.tsv": "3\nb\t1\na\t0\nc\t2\n",
    "relations.tsv": "2\np\t0\nq\t1\n",
}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def remote(texts):
    return {
        name: RemoteFile(f"https://example.org/{name}", sha(text), len(text.encode())) for name, text in texts.items()
    }


def make(texts=TEXTS, source=None, layout="htr"):
    class Small(BenchmarkGraph):
        """Three entities."""

        card = Card(
            "small",
            3,
            2,
            (4, 1, 1),
            {name: sha(text) for name, text in TEXTS.items()},
            ("id", "name", "short", "long"),
            remote(source) if source else {},
            layout,
        )

    return Small


def mirror(folder, texts=TEXTS):
    (folder / "small").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "small" / name).write_text(text, encoding="utf-8")
    return folder


def test_names_and_texts_come_from_the_mirror(tmp_path, monkeypatch):
    monkeypatch.delenv("DSOM_DATA", raising=False)
    data = make()(tmp_path / "root", mirror=mirror(tmp_path / "m"))[0]
    assert split_triples(data, "train").tolist() == [list(row) for row in FACTS["train.tsv"]]
    assert data.entity_labels == ["Ada", "b", "Charles"]
    assert data.entity_texts == ["Ada: mathematician", "", "Charles: inventor of engines"]
    assert data.relation_labels == ["knows", "q"]
    monkeypatch.setenv("DSOM_DATA", str(tmp_path / "m"))
    assert make()(tmp_path / "other")[0].entity_labels == data.entity_labels


def test_texts_are_encoded_once_and_kept(tmp_path, monkeypatch):
    class Encoder:
        calls = 0

        def __call__(self, texts):
            self.calls += 1
            return torch.tensor([[float(len(text))] for text in texts])

        def __repr__(self):
            return "Encoder()"

    encoder, folder = Encoder(), mirror(tmp_path / "m")
    for _ in range(2):
        data = make()(tmp_path / "root", mirror=folder, text_encoder=encoder)[0]
        assert data.x_text.flatten().tolist() == [18.0, 0.0, 28.0]
        assert data.text_mask.tolist() == [True, False, True]
    assert encoder.calls == 1
    assert "x_text" not in make()(tmp_path / "root", mirror=folder, text_encoder="none")[0]
    monkeypatch.setattr("torch_geometric_dsom.encoders.registry.importlib.util.find_spec", lambda name: None)
    assert make()(tmp_path / "root", mirror=folder)[0].x_text.shape == (3, 512)
    with pytest.raises(DataError, match="text_encoder: expected finite features"):
        make()(tmp_path / "bad", mirror=folder, text_encoder=lambda texts: torch.full((2, 1), torch.nan))


@pytest.mark.parametrize("layout", ["htr", "openke"])
def test_facts_are_fetched_where_there_is_no_mirror(tmp_path, monkeypatch, layout):
    monkeypatch.delenv("DSOM_DATA", raising=False)
    source = OPENKE if layout == "openke" else {name: TEXTS[name] for name in FACTS}
    asked = []

    def fetch(file, path):
        asked.append(file.url)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source[file.url.rsplit("/", 1)[1]], encoding="utf-8")
        return path

    monkeypatch.setattr(module, "fetch", fetch)
    data = make(source=source, layout=layout)(tmp_path)[0]
    for split, name in (("train", "train.tsv"), ("val", "valid.tsv"), ("test", "test.tsv")):
        assert split_triples(data, split).tolist() == [list(row) for row in FACTS[name]]
    assert data.entity_ids == (["a", "b", "c"] if layout == "openke" else ["0", "1", "2"])
    validate(data)
    count = len(asked)
    make(source=source, layout=layout)(tmp_path)
    assert len(asked) == count  # the processed graph is kept
    with pytest.raises(DataError, match="expected texts to encode, found none"):
        make(source=source, layout=layout)(tmp_path, text_encoder=lambda texts: torch.zeros(len(texts), 1))


def test_a_graph_that_cannot_be_fetched_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("DSOM_DATA", raising=False)
    with pytest.raises(DataError, match="give mirror= or DSOM_DATA a folder that holds small/"):
        make()(tmp_path)


@pytest.mark.parametrize("name", TEXTS)
def test_a_mirror_that_is_damaged_or_incomplete_is_refused(tmp_path, name):
    folder = mirror(tmp_path / "m")
    path = folder / "small" / name
    path.write_text(TEXTS[name] + "x", encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}: expected the sha256"):
        make()(tmp_path / "root", mirror=folder)
    path.unlink()
    with pytest.raises(DataError, match=f"{name}: expected a file of the mirror, found none"):
        make()(tmp_path / "root", mirror=folder)
    assert not list((tmp_path / "root").rglob("*.safetensors"))


def test_every_graph_is_known_by_name(tmp_path):
    assert {cls.__name__ for cls in GRAPHS} < set(DATASETS)
    with pytest.raises(ConfigError, match="split"):
        MKGW(tmp_path, split="clena", mirror=tmp_path)
    if MIRROR:
        assert load_dataset("MKGY", tmp_path, text_encoder="none").num_nodes == 15_000


@pytest.mark.parametrize("cls", GRAPHS)
def test_cards_are_complete(cls):
    card = cls.card
    assert set(card.sha256) == {"train.tsv", "valid.tsv", "test.tsv", "entities.tsv", "relations.tsv"}
    assert all(len(total) == 64 for total in card.sha256.values())
    assert card.columns[:2] == ("id", "name")
    assert bool(card.remote) == (cls is not WN9)
    for file in card.remote.values():
        assert file.url.startswith("https://")
        assert len(file.sha256) == 64
    assert f"{card.num_entities:,}" in cls.__doc__
    if MIRROR and card.layout == "htr" and card.remote:  # the public copies are the mirror's files, byte by byte
        for name in FACTS:
            assert card.remote[name].sha256 == card.sha256[name]


def test_features_of_named_entities(tmp_path):
    from torch_geometric.data import Data

    data = Data(num_nodes=3)
    data.entity_ids = ["a", "b", "c"]
    np.savez(tmp_path / "f.npz", x=np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float16), ids=np.array(["c", "z"]))
    attach_npz(data, tmp_path / "f.npz", "image", "x", "ids")
    assert data.x_image.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
    assert data.image_mask.tolist() == [False, False, True]
    with pytest.raises(DataError, match="expected the arrays 'y' and 'ids'"):
        attach_npz(data, tmp_path / "f.npz", "image", "y", "ids")
    np.savez(tmp_path / "g.npz", x=np.array([{}], dtype=object), ids=np.array(["a"]))
    with pytest.raises(DataError, match="allow_pickle"):
        attach_npz(data, tmp_path / "g.npz", "image", "x", "ids")


def test_published_features_are_attached_and_kept(tmp_path):
    folder = mirror(tmp_path / "m")
    np.save(tmp_path / "image.npy", np.eye(3, 2))
    np.savez(tmp_path / "text.npz", x=np.ones((1, 4)))

    def load(**options):
        return make()(tmp_path / "root", mirror=folder, **options)[0]

    def never(texts):
        pytest.fail("an encoder was called")

    text = (tmp_path / "text.npz", ["c"])
    data = load(image_features=tmp_path / "image.npy", text_features=text, text_encoder=never)
    assert data.x_image.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert data.image_mask.all()
    assert data.text_mask.tolist() == [False, False, True]
    assert data.x_text[2].tolist() == [1.0] * 4
    np.save(tmp_path / "image.npy", np.eye(3, 5))
    assert load(image_features=tmp_path / "image.npy", text_encoder="none").x_image.shape == (3, 5)
    assert "x_image" not in load(text_encoder="none")
    with pytest.raises(DataError, match=r"gone.npy: expected a file, found none"):
        load(image_features=tmp_path / "gone.npy")
    np.save(tmp_path / "image.npy", np.eye(4, 5))
    with pytest.raises(DataError, match="expected 3 rows, one an entity, got 4; give ids"):
        load(image_features=tmp_path / "image.npy", text_encoder="none")
