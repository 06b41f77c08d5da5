import copy
import hashlib
import json
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torch_geometric_dsom import CheckpointError, ConfigError, DataError, DSoMTrainer, Student
from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import SCORERS, ComplEx, GuidedScorer, ModalityTeacher, PathScorer, RidgeScorer
from torch_geometric_dsom.trainer import export_embeddings, export_scoring, fit_guides, next_teachers
from torch_geometric_dsom.trainer.student import as_student

QUERIES = torch.tensor([0, 7, 59]), torch.tensor([0, 5, 2])


@pytest.fixture
def saved(trained, tmp_path):
    trained.export_student().save(tmp_path / "student")
    return tmp_path / "student"


def test_it_is_the_trainers_student_and_nothing_else(trained, small_graph, saved):
    student = Student.load(saved)
    assert {name: tuple(value.shape) for name, value in student.state_dict().items()} == {
        "scorer.entity": (60, 16),
        "scorer.relation": (6, 16),
    }
    assert not any(value.requires_grad for value in student.parameters())
    assert not student.training
    assert torch.equal(student.score_tails(*QUERIES), trained.student.score_tails(*QUERIES))
    some = torch.tensor([3, 1])
    assert torch.equal(student.score_tails(*QUERIES, some), trained.student.score_tails(*QUERIES, some))
    assert student.config == trained.config
    assert student.vocabulary == trained.vocabulary
    for query in ({"head": "e4"}, {"tail": "thing 9"}, {"head": 3, "exclude_known": False}):
        for data in (None, small_graph):
            query |= {"data": data, "relation": "r1", "k": 60}
            assert student.predict(**query) == trained.predict(**query)
    assert student.evaluate(small_graph).to_dict() == trained.evaluate(small_graph).to_dict()
    assert evaluate(student, small_graph, "val").mrr == trained.evaluate(small_graph, "val").mrr  # it is a scorer
    assert repr(student).startswith("Student(\n  entities=60, relations=3\n  (scorer): EmbeddingScorer(")


def test_it_is_a_copy(trained):
    student = trained.export_student()
    before = trained.student.entity.detach().clone()
    student.scorer.entity.data.zero_()
    assert torch.equal(trained.student.entity, before)


def test_it_is_small_on_disk(trained, saved, tmp_path):
    trained.save(tmp_path / "trainer")

    def size(folder):
        return sum(path.stat().st_size for path in folder.iterdir())

    tables = 4 * 16 * (60 + 6)
    assert size(saved) < tables + 8192  # names, configuration and manifest
    assert size(saved) < size(tmp_path / "trainer") / 4
    half = trained.export_student().half()
    half.save(tmp_path / "half")
    (payload,) = (tmp_path / "half").glob("tensors-*")
    assert payload.stat().st_size < tables / 2 + 512
    again = Student.load(tmp_path / "half")
    assert again.scorer.entity.dtype == torch.float32
    assert torch.equal(again.scorer.entity, trained.student.entity.half().float())


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_comes_back(name, tmp_path):
    words = Vocabulary(["a", "b", "c"], ["A", "B", "C"], ["r"], ["R"])
    student = Student(SCORERS[name](3, 1, rank=4), words)
    student.save(tmp_path / "s")
    query = torch.tensor([0, 2]), torch.tensor([1, 0])
    again = Student.load(tmp_path / "s", device="cpu")
    assert torch.equal(again(*query), student.score_tails(*query))
    assert again.config is student.config is None


def test_a_save_of_a_trainer_and_of_a_student_are_of_one_kind(trained, small_graph, saved, tmp_path):
    trained.save(tmp_path / "trainer")
    student = Student.load(tmp_path / "trainer")
    assert torch.equal(student.scorer.entity, trained.student.entity)
    trainer = DSoMTrainer.load(saved)
    assert trainer.teachers == {}
    assert trainer.evaluate(small_graph).mrr == trained.evaluate(small_graph).mrr
    with pytest.raises(ConfigError, match="teachers"):
        trainer.fit_student(small_graph)


def test_it_may_teach(trained, small_graph, small_options):
    student = trained.export_student()
    trainer = DSoMTrainer(progress=False, teachers={"shared": student}, **small_options).fit(small_graph, epochs=1)
    assert "select/shared" in trainer.history[-1]


def test_a_process_without_dataset_and_features_predicts(trained, small_graph, saved):
    code = """
import sys
from torch_geometric_dsom import Student
student = Student.load(sys.argv[1])
assert not any(name.startswith("torch_geometric_dsom.datasets") for name in sys.modules)
print(student.predict(head="e4", relation="r1", k=1)[0].id)
"""
    command = [sys.executable, "-c", code, str(saved)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == trained.predict(head="e4", relation="r1", k=1)[0].id


def test_a_graph_with_other_rows_is_refused(trained, small_graph):
    student = trained.export_student()
    other = copy.copy(small_graph)
    other.entity_ids = ["e1", "e0", *small_graph.entity_ids[2:]]
    for ask in (student.evaluate, lambda data: student.predict(data, head="e0", relation="r0")):
        with pytest.raises(DataError, match=r"data.entity_ids\[0\]: the student knows 'e0' there, got 'e1'"):
            ask(other)
    other = copy.copy(small_graph)
    other.num_relations = 4
    with pytest.raises(DataError, match="knows 3 of kind relation, got 4"):
        student.evaluate(other)
    del other.entity_ids, other.relation_ids  # no names: nothing to compare
    other.num_relations = 3
    assert student.evaluate(other).count == 60


def test_bad_parts_are_named(trained, small_graph, tmp_path):
    words = Vocabulary(["a", "b"], ["A"], ["r"], ["R"])
    with pytest.raises(ConfigError, match="expected 2 entity_labels, as the scorer has rows, got 1"):
        Student(ComplEx(2, 1, 4), words)
    with pytest.raises(ConfigError, match="got Linear"):
        Student(torch.nn.Linear(1, 1), words)
    with pytest.raises(ConfigError, match="call fit first"):
        DSoMTrainer().export_student()
    with pytest.raises(ConfigError, match="got str"):
        as_student("student")
    teacher = Student(ModalityTeacher.from_data(small_graph, ["text"], rank=4), trained.vocabulary)
    assert teacher.scorer.entity.shape == (60, 8)  # what features make of it is plain vectors
    teacher.scorer.interaction.name = "of my own"
    with pytest.raises(CheckpointError, match="cannot save"):
        teacher.save(tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.fixture
def asked(trained, small_graph):
    """A student that listens to four guides."""
    paths = PathScorer.from_data(small_graph, dim=4, layers=2, generator=torch.Generator().manual_seed(2))
    told = ["rules", "ridge", "frequency", paths]
    return trained.export_student().with_guides(small_graph, weights=[0.5], guides=told)


def test_it_is_kept_with_its_guides(trained, small_graph, asked, tmp_path):
    expected, part = trained.student.score_tails(*QUERIES).detach(), asked.scorer
    for name in ("paths", "frequency", "ridge", "rules"):
        assert part.guide.name == name
        expected = expected + 0.5 * part.guide.score_tails(*QUERIES)
        part = part.scorer
    torch.testing.assert_close(asked.score_tails(*QUERIES), expected)
    asked.save(tmp_path / "asked")
    again = Student.load(tmp_path / "asked")
    assert torch.equal(again.score_tails(*QUERIES), asked.score_tails(*QUERIES))
    assert again.config == trained.config
    assert again.predict(small_graph, head="e4", relation="r1") == asked.predict(small_graph, head="e4", relation="r1")
    assert again.evaluate(small_graph).to_dict() == evaluate(asked.scorer, small_graph).to_dict()
    with pytest.raises(CheckpointError, match="student: expected plain tables, got a GuidedScorer; Student.load reads"):
        DSoMTrainer.load(tmp_path / "asked")


def test_guides_are_weighed_as_fit_guides_does(trained, small_graph):
    student = trained.export_student()
    found = student.with_guides(small_graph, [0.5, 2.0], shrinkage=20.0)
    expected = fit_guides(student.scorer, small_graph, [0.5, 2.0], shrinkage=20.0)
    assert isinstance(expected, GuidedScorer)
    assert torch.equal(found.score_tails(*QUERIES), expected.score_tails(*QUERIES))
    assert student.tables is student.scorer  # it is left as it was
    part = found.scorer
    while isinstance(part, GuidedScorer):
        part = part.scorer
    part.entity.zero_()
    assert student.scorer.entity.abs().sum() > 0
    other = copy.copy(small_graph)
    other.num_nodes = 61
    with pytest.raises(DataError, match="the student knows 60 of kind entity, got 61"):
        student.with_guides(other)


def test_half_of_it_answers_too(asked, tmp_path):
    whole = asked.score_tails(*QUERIES)
    assert isinstance(asked.scorer.scorer.scorer.guide, RidgeScorer)
    asked.half()
    torch.testing.assert_close(asked.score_tails(*QUERIES).float(), whole, atol=2e-2, rtol=1e-2)
    asked.save(tmp_path / "half")
    again = Student.load(tmp_path / "half").score_tails(*QUERIES)
    torch.testing.assert_close(again, whole, atol=1e-2, rtol=1e-2)


def test_what_is_made_of_tables_alone_refuses_guides(asked, small_graph, tmp_path):
    told = "expected a student that is asked alone, got one that listens to 'paths'"
    for refused in (
        lambda: export_embeddings(asked, tmp_path / "vectors.npz"),
        lambda: export_scoring(asked, tmp_path / "scoring.pt2"),
        lambda: next_teachers([asked], small_graph),
        lambda: asked.with_guides(small_graph),
    ):
        with pytest.raises(ConfigError, match=told):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_it_teaches_with_its_guides_and_without(trained, asked, small_graph, small_options, tmp_path):
    teachers = {"alone": trained.export_student(), "asked": asked}
    trainer = DSoMTrainer(progress=False, teachers=teachers, **small_options).fit(small_graph, epochs=1)
    trainer.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run").teachers
    for name, teacher in teachers.items():
        assert torch.equal(again[name].score_tails(*QUERIES), teacher.score_tails(*QUERIES))


def test_missing_and_foreign_directories(trained, saved, tmp_path):
    with pytest.raises(CheckpointError, match="not found"):
        Student.load(tmp_path / "nowhere")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "model.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="not found"):
        Student.load(foreign)
    with pytest.raises(CheckpointError, match="left as it was"):
        trained.export_student().save(foreign)
    (foreign / "manifest.json").write_text('{"name": "an app", "icons": []}')
    with pytest.raises(CheckpointError, match="expected format"):
        Student.load(foreign)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_that_changed_are_noticed(data, trained, tmp_path):
    folder = tmp_path / "fuzz"
    trained.export_student().save(folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    middle = {"cut": b"", "flip": bytes([whole[place] ^ 0x41]) + whole[place + 1 :], "insert": b"\0" + whole[place:]}
    path.write_bytes(whole[:place] + middle[change])
    try:
        student = Student.load(folder)
    except CheckpointError:
        return
    assert path.name == "manifest.json"  # only its text about versions may change unseen
    assert torch.equal(student.scorer.entity, trained.student.entity)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70) | st.floats(-1, 1) | st.text(max_size=3),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts, max_size=2),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_that_fits_around_anything_is_no_way_in(data, trained, tmp_path):
    """Somebody else wrote the save, sums and all: a student that is one, or the error that says it is none."""
    folder = tmp_path / "forged"
    trained.export_student().save(folder)
    (path,) = folder.glob("meta-*")
    meta = json.loads(path.read_text(encoding="utf-8"))
    place, parts = meta, []
    while isinstance(place, dict) and place:
        parts.append((place, data.draw(st.sampled_from(sorted(place)))))
        place = parts[-1][0][parts[-1][1]]
        if data.draw(st.booleans()):
            break
    owner, key = parts[-1]
    if data.draw(st.booleans()):
        del owner[key]
    else:
        owner[key] = data.draw(ANY)
    path.write_text(json.dumps(meta), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["meta"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for cls in (Student, DSoMTrainer):
        try:
            found = cls.load(folder)
        except CheckpointError:
            continue
        if cls is Student:
            assert len(found.predict(head=0, relation=0, k=60)) == 60
