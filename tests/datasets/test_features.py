import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch_geometric.data import Data

from torch_geometric_dsom.datasets import attach_features, read_features, read_names, write_features
from torch_geometric_dsom.datasets import features as module
from torch_geometric_dsom.errors import ConfigError, DataError

X = np.arange(12, dtype=np.float64).reshape(4, 3)


def graph():
    data = Data(num_nodes=4)
    data.entity_ids, data.entity_labels = ["a", "b", "c", "d"], ["Ada", "Bob", "Cy", "Ada"]
    return data


def write(path, array=X):
    kind = path.suffix
    if kind == ".npy":
        np.save(path, array)
    elif kind == ".npz":
        np.savez(path, x=array)
    elif kind == ".safetensors":
        save_file({"x": torch.from_numpy(array)}, path)
    elif kind in (".pt", ".pth"):
        torch.save(torch.from_numpy(array), path)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["x"] = array
    return path


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors", ".pt", ".pth", ".h5"])
def test_every_kind_in_row_order(kind, tmp_path):
    data = attach_features(graph(), "image", write(tmp_path / f"f{kind}"))
    assert torch.equal(data.x_image, torch.from_numpy(X).float())
    assert data.x_image.dtype == torch.float32
    assert data.image_mask.all()


def test_rows_are_found_by_id_label_file_or_the_names_inside(tmp_path):
    path = write(tmp_path / "f.npy", X[:2])
    for ids in (["c", "b"], ["Cy", "Bob"]):
        if ids[0] == "Cy":
            with pytest.raises(DataError, match="labels are not unique"):
                attach_features(graph(), "image", path, ids=ids)
            continue
        data = attach_features(graph(), "image", path, ids=ids)
        assert data.image_mask.tolist() == [False, True, True, False]
        assert data.x_image[2].tolist() == [0.0, 1.0, 2.0]
    unique = graph()
    unique.entity_labels = ["Ada", "Bob", "Cy", "Di"]
    assert attach_features(unique, "image", path, ids=["Cy", "Di"]).image_mask.tolist() == [False, False, True, True]
    (tmp_path / "ids.txt").write_text("\ufeffc\r\n\nb\n", encoding="utf-8")
    assert attach_features(graph(), "image", path, ids=tmp_path / "ids.txt").image_mask.tolist()[1:3] == [True, True]
    np.savez(tmp_path / "named.npz", x=X[:2], ids=np.array(["d", "a"]))
    assert attach_features(graph(), "image", tmp_path / "named.npz").x_image[3].tolist() == [0.0, 1.0, 2.0]
    torch.save({"b": torch.ones(3), "d": torch.zeros(3)}, tmp_path / "by_name.pt")
    assert attach_features(graph(), "image", tmp_path / "by_name.pt").image_mask.tolist() == [False, True, False, True]


def test_several_arrays_want_a_key(tmp_path):
    np.savez(tmp_path / "f.npz", one=X, two=2 * X, other=np.arange(4))
    assert read_features(tmp_path / "f.npz", key="two")[0][1, 0] == 6.0
    with pytest.raises(DataError, match=r"expected a key, one of the matrices \['one', 'two'\]"):
        read_features(tmp_path / "f.npz")
    with pytest.raises(DataError, match="got 'three'"):
        read_features(tmp_path / "f.npz", key="three")
    with pytest.raises(DataError, match="expected several arrays to choose 'x' from, got one"):
        read_features(write(tmp_path / "g.npy"), key="x")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(X == 4, np.nan, X), "expected finite features, got NaN or infinity in 1 rows, first 1"),
        (np.where(X > 8, np.inf, X), "NaN or infinity in 1 rows, first 3"),
        (X[0], r"expected a matrix of real numbers \[n, D\], got torch.float64 \[3\]"),
        (X.astype(np.complex128), "complex128"),
        (X > 3, "torch.bool"),
        (X[:, :0], "expected at least one column"),
        (X[:3], "expected 4 rows, one an entity, got 3; give ids"),
    ],
)
def test_what_does_not_fit_is_said(array, message, tmp_path):
    with pytest.raises(DataError, match=message):
        attach_features(graph(), "image", write(tmp_path / "f.npy", array))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], "expected a name for each of 4 rows, got 2"),
        (["a", "b", "c", "z"], "1 of 4 names are no entities here, first 'z'"),
        (["a", "b", "c", "a"], "expected one row an entity, got a second one of 'a'"),
        (["w", "x", "y", "z"], "4 of 4 names are no entities here, first 'w'"),
    ],
)
def test_names_that_do_not_fit_are_said(ids, message, tmp_path):
    with pytest.raises(DataError, match=message):
        attach_features(graph(), "image", write(tmp_path / "f.npy"), ids=ids)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("kind", [".npy", ".npz", ".pt", ".pth", ".safetensors", ".h5"])
def test_pickles_and_rubbish_are_never_executed(kind, tmp_path):
    path = tmp_path / f"f{kind}"
    for content in (pickle.dumps(Bomb()), b"", b"\x93NUMPY\x01\x00v\x00{", b"PK\x03\x04rubbish", b"\x00" * 64):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"f{kind}"):
            read_features(path)
    if kind == ".npy":
        np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    elif kind == ".npz":
        np.savez(path, x=np.array([Bomb()], dtype=object))
    elif kind in (".pt", ".pth"):
        torch.save({"x": Bomb()}, path)
    else:
        return
    with pytest.raises(DataError, match="cannot be read as .* without running code"):
        read_features(path)


@given(st.binary(max_size=300), st.sampled_from([".npy", ".npz", ".pt", ".safetensors"]))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_one_clear_error(tmp_path_factory, content, kind):
    path = tmp_path_factory.mktemp("random") / f"f{kind}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_features(path)


def test_other_errors(tmp_path):
    with pytest.raises(DataError, match="expected a file, found none"):
        read_features(tmp_path / "f.npy")
    (tmp_path / "f.csv").write_text("1,2", encoding="utf-8")
    with pytest.raises(DataError, match="expected one of .* got '.csv'"):
        read_features(tmp_path / "f.csv")
    with pytest.raises(ConfigError, match="modality"):
        attach_features(graph(), "my image", write(tmp_path / "g.npy"))
    torch.save({"a": torch.ones(3), "b": torch.ones(2)}, tmp_path / "h.pt")
    with pytest.raises(DataError, match=r"expected vectors of one length, got \[2, 3\]"):
        read_features(tmp_path / "h.pt")
    bare = Data(num_nodes=4)
    with pytest.raises(DataError, match="got neither"):
        attach_features(bare, "image", write(tmp_path / "i.npy"), ids=["a", "b", "c", "d"])


def test_one_format_there_and_back(tmp_path):
    path = write_features(tmp_path / "new" / "image.npz", torch.arange(6.0).view(2, 3), ["é", "b c"])
    features, names = read_features(path)
    assert features.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert names == ["é", "b c"]
    assert read_features(write_features(path, torch.ones(1, 1)))[1] is None  # replaced, without names
    assert [file.name for file in path.parent.iterdir()] == ["image.npz"]
    assert read_features(write_features(path, torch.ones(0, 4), []))[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "x", "names", "message"),
    [
        ("a.npy", torch.ones(1, 1), None, "expected a name that ends in .npz, got '.npy'"),
        ("a.npz", torch.ones(2, 1), ["a"], "expected a name for each of 2 rows, got 1"),
        ("a.npz", torch.tensor([[torch.nan]]), None, "NaN or infinity in 1 rows, first 0"),
        ("a.npz", torch.ones(2), None, r"expected a matrix of real numbers"),
        ("file/a.npz", torch.ones(1, 1), None, "cannot be written"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(name, x, names, message, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        write_features(tmp_path / name, x, names)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_from_a_file(tmp_path):
    (tmp_path / "ids.txt").write_bytes("\ufeffa\r\n\r\n b\t\r\n".encode())
    assert read_names(tmp_path / "ids.txt") == ["a", "b"]


def huge(path):
    """A small file that says it is huge."""
    shape = (1 << 20, 1 << 20)
    if path.suffix in (".npy", ".npz"):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)
        if path.suffix == ".npy":
            path.write_bytes(content)
            return
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    elif path.suffix == ".safetensors":
        header = json.dumps({"x": {"dtype": "F64", "shape": shape, "data_offsets": [0, 8 << 40]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("x", shape=shape, dtype="f8", chunks=(1024, 1024))  # never filled: a few kB


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors", ".h5"])
def test_a_small_file_that_says_it_is_huge_is_refused(kind, tmp_path):
    huge(tmp_path / f"f{kind}")
    assert (tmp_path / f"f{kind}").stat().st_size < 20_000
    with pytest.raises(DataError, match=f"f{kind}: cannot be read"):
        read_features(tmp_path / f"f{kind}")


def test_an_archive_that_unpacks_to_too_much_is_refused_before(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "f.npz", x=np.zeros((1000, 100)))
    assert read_features(tmp_path / "f.npz")[0].shape == (1000, 100)
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    with pytest.raises(DataError, match="bytes when unpacked, more than 100000"):
        read_features(tmp_path / "f.npz")


def test_members_that_lead_out_of_an_archive_are_never_unpacked(tmp_path):
    inner = io.BytesIO()
    np.save(inner, X)
    place = tmp_path / "in"
    place.mkdir()
    with zipfile.ZipFile(place / "f.npz", "w") as archive:
        archive.writestr("../out.npy", inner.getvalue())
    assert read_features(place / "f.npz")[0].shape == (4, 3)  # an array like any other, whatever its name
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
