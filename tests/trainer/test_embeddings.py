import os
import urllib.parse

import numpy as np
import pytest
import torch

from torch_geometric_dsom import ConfigError, DSoMTrainer, Student
from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.nn import TransE, TuckER
from torch_geometric_dsom.trainer import export_embeddings

IDS = ["the sun", "50% off", "tab\there", "  ", "ünï\u2028code"]


@pytest.fixture
def student():
    return Student(
        TransE(5, 2, rank=3), Vocabulary(IDS, [f"label of {i}" for i in IDS], ["p", "q q"], ["is", "has\nit"])
    )


def test_npz(student, tmp_path):
    (path,) = export_embeddings(student, tmp_path / "deep" / "vectors.npz")
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    assert found["entity"].dtype == np.float32
    assert np.array_equal(found["entity"], student.scorer.entity.numpy())
    assert np.array_equal(found["relation"], student.scorer.relation.numpy())
    assert (found["entity"].shape, found["relation"].shape) == ((5, 3), (4, 3))
    assert found["entity_ids"].dtype.kind == "U"
    assert found["entity_ids"].tolist() == IDS
    assert found["entity_labels"].tolist() == list(student.vocabulary.entity_labels)
    assert found["relation_ids"].tolist() == ["p", "q q"]
    assert found["relation_labels"].tolist() == ["is", "has\nit"]
    assert os.listdir(path.parent) == ["vectors.npz"]


def test_a_score_can_be_made_of_the_arrays_alone(student, tmp_path):
    with np.load(export_embeddings(student, tmp_path / "v.npz")[0]) as file:
        score = -np.linalg.norm(file["entity"][1] + file["relation"][2] - file["entity"], axis=1)
    shown = student.score_tails(torch.tensor([1]), torch.tensor([2]))[0].numpy()
    assert np.allclose(score, shown, atol=1e-5)


@pytest.mark.parametrize("ending", [".txt", ".vec"])
def test_word2vec(student, ending, tmp_path):
    """Read as viewers do: split at white space."""
    (path,) = export_embeddings(student, tmp_path / f"v{ending}")
    heading, *lines = path.read_text(encoding="utf-8").splitlines()
    assert heading == "5 3"
    rows = [line.split() for line in lines]
    assert [urllib.parse.unquote(row[0]) for row in rows] == IDS
    assert np.array_equal(np.array([row[1:] for row in rows], dtype=np.float32), student.scorer.entity.numpy())


@pytest.mark.parametrize("what", ["entity", "relation"])
def test_projector(student, what, tmp_path):
    vectors, metadata = export_embeddings(student, tmp_path / "v.tsv", what)
    assert metadata.name == "v.metadata.tsv"
    table = getattr(student.scorer, what).numpy()
    assert np.array_equal(np.loadtxt(vectors, delimiter="\t", dtype=np.float32), table)
    heading, *lines = metadata.read_text(encoding="utf-8").split("\n")[:-1]
    assert heading == "id\tlabel"
    assert len(lines) == len(table)
    pairs = [line.split("\t") for line in lines]
    if what == "relation":
        assert pairs == [["p", "is"], ["q q", "has it"], ["p^-1", "is^-1"], ["q q^-1", "has it^-1"]]
    else:
        assert [pair[0] for pair in pairs] == ["the sun", "50% off", "tab here", "  ", "ünï code"]


def test_extreme_values_come_back(tmp_path):
    scorer = TransE(1, 1, rank=4)
    scorer.entity.data = torch.tensor([[1e-45, 3.4028235e38, 1 / 3, -0.0]])
    words = Vocabulary(["a"], ["a"], ["r"], ["r"])
    (path,) = export_embeddings(Student(scorer, words), tmp_path / "v.txt")
    values = np.array(path.read_text().splitlines()[1].split()[1:], dtype=np.float32)
    assert values.tobytes() == scorer.entity.detach().numpy()[0].tobytes()


def test_a_trainer_and_tables_of_two_widths(trained, tmp_path):
    with np.load(export_embeddings(trained, tmp_path / "v.npz")[0]) as file:
        assert np.array_equal(file["entity"], trained.student.entity.detach().numpy())
    words = Vocabulary(["a", "b"], ["a", "b"], ["r"], ["r"])
    (path,) = export_embeddings(Student(TuckER(2, 1, rank=4, relation_rank=3), words), tmp_path / "r.txt", "relation")
    assert path.read_text().splitlines()[0] == "2 3"


def test_bad_arguments_leave_nothing(student, tmp_path):
    with pytest.raises(ConfigError, match=r"\.npz, \.tsv, \.txt or \.vec, got .*v\.csv"):
        export_embeddings(student, tmp_path / "v.csv")
    with pytest.raises(ConfigError, match="what: expected one of .*'entity', 'relation'.*got 'tail'"):
        export_embeddings(student, tmp_path / "v.npz", "tail")
    with pytest.raises(ConfigError, match="call fit first"):
        export_embeddings(DSoMTrainer(), tmp_path / "v.npz")
    assert os.listdir(tmp_path) == []
