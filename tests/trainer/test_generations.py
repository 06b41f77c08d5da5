import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import fit_temperature
from torch_geometric_dsom.nn import ComplEx, FrequencyScorer, RidgeScorer, RotatE, RuleScorer
from torch_geometric_dsom.trainer import Student, fit_guides, next_teachers

HEAD, REL = torch.arange(60), torch.arange(60) % 6


def scorers(*kinds):
    return [kind(60, 3, rank=3, generator=torch.Generator().manual_seed(seed)) for seed, kind in enumerate(kinds)]


@pytest.mark.parametrize("kinds", [(ComplEx, ComplEx), (ComplEx, RotatE), (ComplEx,)])
def test_students_speak_together_alone_and_with_guides(small_graph, kinds):
    students = scorers(*kinds)
    teachers = next_teachers(students, small_graph, weights=[0.5])
    assert list(teachers) == ["structure", "fused"]
    mean = sum(one.score_tails(HEAD, REL) for one in students) / len(students)
    torch.testing.assert_close(teachers["structure"].score_tails(HEAD, REL), mean)
    for guide in (RuleScorer, RidgeScorer, FrequencyScorer):  # those of resembling entities see modalities
        mean = mean + 0.5 * guide.from_data(small_graph).score_tails(HEAD, REL)
    torch.testing.assert_close(teachers["fused"].score_tails(HEAD, REL), mean)
    assert not any(parameter.requires_grad for one in teachers.values() for parameter in one.parameters())


def test_weights_are_those_that_validation_chooses(small_graph):
    (student,) = scorers(ComplEx)
    asked = fit_guides(student, small_graph, (0.0, 1.0, 4.0), kinds=None, shrinkage=2.0)
    found = next_teachers([student], small_graph, (0.0, 1.0, 4.0), shrinkage=2.0)["fused"]
    assert found.weight == asked.weight
    assert torch.equal(found.score_tails(HEAD, REL), asked.score_tails(HEAD, REL))


def test_the_fused_one_may_be_calibrated(small_graph):
    students = scorers(ComplEx, ComplEx)
    plain = next_teachers(students, small_graph, weights=[0.5])
    found = next_teachers(students, small_graph, weights=[0.5], calibrate=True)
    temperature = fit_temperature(plain["fused"], small_graph)
    assert found["fused"].temperature == temperature != 1.0
    torch.testing.assert_close(
        found["fused"].score_tails(HEAD, REL), plain["fused"].score_tails(HEAD, REL) / temperature
    )
    assert torch.equal(found["structure"].entity, plain["structure"].entity)
    assert list(next_teachers(students, small_graph, weights=[0.0], calibrate=True)) == ["structure"]


def test_without_a_guide_structure_is_alone(small_graph):
    (student,) = scorers(ComplEx)
    teachers = next_teachers([student], small_graph, weights=[0.0])
    assert list(teachers) == ["structure"]
    assert torch.equal(teachers["structure"].score_tails(HEAD, REL), student.score_tails(HEAD, REL))


def test_a_further_generation_is_kept_and_resumed(small_graph, small_options, tmp_path):
    students = scorers(ComplEx, ComplEx)

    def fit(**options):
        teachers = next_teachers(students, small_graph, weights=[0.5])
        trainer = DSoMTrainer(seed=3, teachers=teachers, progress=False, **small_options, **options)
        return trainer.fit(small_graph, epochs=2)

    whole = fit()
    again = fit(checkpoint_dir=tmp_path / "run"), fit(checkpoint_dir=tmp_path / "run", resume=True)
    for other in again:
        assert torch.equal(other.student.entity, whole.student.entity)
    taught = DSoMTrainer(seed=3, progress=False, **small_options).fit(small_graph, epochs=2).student
    assert not torch.equal(taught.entity, whole.student.entity)  # it matters who teaches


def test_who_teaches_may_be_a_trainer_or_a_student_of_the_same_names(small_graph, small_options, tmp_path):
    trainer = DSoMTrainer(seed=3, progress=False, **small_options).fit(small_graph, epochs=1)
    trainer.save(tmp_path / "run")
    loaded = Student.load(tmp_path / "run")
    wanted = next_teachers([trainer.student, trainer.student], small_graph, weights=[0.5])["fused"]
    found = next_teachers([trainer, loaded], small_graph, weights=[0.5])["fused"]
    torch.testing.assert_close(found.score_tails(HEAD, REL), wanted.score_tails(HEAD, REL), rtol=0, atol=0)
    other = small_graph.clone()
    other.entity_ids = [f"other {name}" for name in loaded.vocabulary.entity_ids]
    for student in (trainer, loaded):
        with pytest.raises(DataError, match=r"data\.entity_ids\[0\]: the student knows"):
            next_teachers([student], other)
    with pytest.raises(ConfigError, match="model: expected a Student or a DSoMTrainer, got str"):
        next_teachers(["runs/mine"], small_graph)


def test_somebody_has_to_teach(small_graph):
    with pytest.raises(ConfigError, match="students: expected at least one"):
        next_teachers([], small_graph)
