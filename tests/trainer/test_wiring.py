import copy

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import KnownAnswers, split_triples, with_inverses
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import DISTLoss
from torch_geometric_dsom.nn import SCORERS, ComplEx, EmbeddingScorer
from torch_geometric_dsom.sampler import ConfidenceSampler, RelationSampler, StaticSampler, TeacherSampler, all_subsets
from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.wiring import best_on_validation, make_ensemble


def make(trained, options, **kwargs):
    """A trainer that takes over trained teachers."""
    return DSoMTrainer(seed=3, progress=False, teachers=trained.teachers, **{**options, **kwargs})


@pytest.mark.parametrize(
    ("selection", "kind"),
    [
        ("all", StaticSampler),
        ("random", StaticSampler),
        ("single:text", StaticSampler),
        ("best_per_relation", RelationSampler),
        ("confidence", ConfidenceSampler),
        ("reinforced", TeacherSampler),
    ],
)
def test_every_selection_is_one_argument(trained, small_graph, small_options, selection, kind):
    trainer = make(trained, small_options, selection=selection)
    trainer.fit_student(small_graph, epochs=2)
    assert isinstance(trainer.agent, kind)
    last = trainer.history[-1]
    shares = [last[f"select/{name}"] for name in trainer.teachers]
    if selection == "single:text":
        assert shares == [0.0, 0.0, 1.0, 0.0]
    if selection in ("all", "confidence"):
        assert shares[0] == shares[2] == shares[3] == 1.0
    assert torch.isfinite(torch.tensor(last["loss"]))


def test_the_agent_may_be_kept_from_the_students_queries(trained, small_graph, small_options):
    widths = []
    for query in (True, False):
        trainer = make(trained, small_options, agent_query=query)
        trainer.fit_student(small_graph, epochs=1)
        widths.append(trainer.agent.state_dim)
    assert widths[0] - widths[1] == trainer.student.interaction.query_dim > 0
    trainer.selection(small_graph, split="val")  # what is asked afterwards has the same state


def test_a_distilled_student_may_have_a_penalty_of_its_own(trained, small_graph, small_options):
    students, baselines = [], []
    for n3, own in ((0.3, None), (0.3, 0.0), (0.0, None)):
        fit = {**small_options["student_fit"], "n3": n3}
        trainer = make(trained, small_options, student_fit=fit, distilled_n3=own)
        students.append(trainer.fit_student(small_graph, epochs=2).entity)
        baselines.append(trainer.fit_baseline(small_graph, epochs=2).entity)
    assert torch.equal(students[1], students[2])
    assert not torch.equal(students[0], students[1])
    assert torch.equal(baselines[0], baselines[1])
    assert not torch.equal(baselines[1], baselines[2])


def test_an_unknown_teacher_is_named(trained, small_graph, small_options):
    with pytest.raises(ConfigError, match="expected a teacher among .*, got 'sound'"):
        make(trained, small_options, selection="single:sound").fit_student(small_graph, epochs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "categorical"},
        {"gradient": "reinforce"},
        {"gradient": "reinforce", "agent_baseline": "learned"},
        {"gradient": "reinforce", "credit": "counterfactual"},
        {"selection_per": "query"},
        {"reward": "margin", "positive_reward": True},
        {"reward": "influence"},
        {"reward": "lookahead"},
        {"reward": "lookahead", "reward_facts": "train"},
        {"reward": "rank", "reward_facts": "train"},
        {"reward": "margin", "reward_facts": "train"},
        {"omega": 0.5, "alpha": None, "beta": None},
        {"neighbors": "topk", "top_k": 3},
        {"neighbors": "none"},
    ],
    ids=str,
)
def test_every_option_changes_the_student_and_trains(trained, small_graph, small_options, options):
    plain, other = make(trained, small_options), make(trained, small_options, **options)
    for trainer in (plain, other):
        trainer.fit_student(small_graph, epochs=3)
        assert all(torch.isfinite(p).all() for p in trainer.student.parameters())
    assert not torch.equal(plain.student.entity, other.student.entity)
    assert torch.isfinite(torch.tensor(other.history[-1]["reward"]))


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_can_be_student_and_teacher_and_is_saved(small_graph, small_options, name, tmp_path):
    trainer = DSoMTrainer(seed=0, progress=False, **small_options, scorer=name, teacher_scorer=name)
    trainer.fit(small_graph, epochs=2)
    trainer.save(tmp_path / "saved")
    again = DSoMTrainer.load(tmp_path / "saved")
    head, rel = torch.tensor([0, 7]), torch.tensor([1, 4])
    assert torch.equal(again.student.score_tails(head, rel), trainer.student.score_tails(head, rel))
    for key, teacher in trainer.teachers.items():
        assert torch.allclose(again.teachers[key].score_tails(head, rel), teacher.score_tails(head, rel), atol=1e-6)


def test_the_best_set_of_a_relation_is_found_by_trying_all(trained, small_graph):
    names = list(trained.teachers)
    available = torch.rand(60, 4, generator=torch.Generator().manual_seed(0)) < 0.8
    found = best_on_validation(small_graph, Ensemble(list(trained.teachers.values()), available))
    known = KnownAnswers.from_data(small_graph, ("train", "val"))
    facts = with_inverses(split_triples(small_graph, "val"), 3)
    for relation in range(6):
        part = facts[facts[:, 1] == relation]
        totals = []
        for subset in all_subsets(4):
            total = 0.0
            for h, r, t in part.tolist():
                query = torch.tensor([h]), torch.tensor([r])
                chosen = [n for k, n in enumerate(names) if subset[k]]
                if not chosen:
                    continue
                heard = [n for n in chosen if available[h, names.index(n)]]
                values = sum((trained.teachers[n].score_tails(*query)[0].softmax(-1) for n in heard), torch.zeros(60))
                values[[a for a in known.rows(*query)[1].tolist() if a != t]] = 0.0
                above, tied = (values > values[t]).sum(), (values == values[t]).sum() - 1
                total += 1 / (1 + above + tied / 2) - 2 / 61
            totals.append(float(total))
        best = max(totals)
        assert totals[int((found[relation].long() * torch.tensor([1, 2, 4, 8])).sum())] == pytest.approx(best, abs=1e-4)


def test_cross_fitting_trains_teachers_for_each_fold(small_graph, small_options):
    trainer = DSoMTrainer(seed=3, progress=False, crossfit=2, **small_options)
    trainer.fit(small_graph, epochs=2)
    phases = list(dict.fromkeys(record["phase"] for record in trainer.history))
    assert phases == [
        *(f"teacher/{name}" for name in ("structure", "image", "text")),
        *(f"fold{k}/teacher/{name}" for k in range(2) for name in ("structure", "image", "text")),
        "student",
    ]
    assert [list(part) for part in trainer.fold_teachers] == [list(trainer.teachers)] * 2
    again = DSoMTrainer(seed=3, progress=False, crossfit=2, **small_options)
    again.teachers, again.fold_teachers = trainer.teachers, trainer.fold_teachers
    again.fit_student(small_graph, epochs=2)
    assert torch.equal(again.student.entity, trainer.student.entity)
    plain = DSoMTrainer(seed=3, progress=False, teachers=trainer.teachers, **small_options)
    plain.fit_student(small_graph, epochs=2)
    assert not torch.equal(plain.student.entity, trainer.student.entity)
    with pytest.raises(ConfigError, match="crossfit"):
        plain.fit_fold_teachers(small_graph)


def test_teachers_of_a_fold_have_the_names_of_the_others(trained, small_graph):
    teachers, device = trained.teachers, torch.device("cpu")
    fewer = {name: one for name, one in teachers.items() if name != "text"}
    with pytest.raises(ConfigError, match=r"fold_teachers\[1\]: expected \['structure', .*, 'fused'\], got"):
        make_ensemble(DSoMConfig(), small_graph, teachers, [teachers, fewer], device)


@pytest.mark.parametrize("masked", [True, False])
def test_teachers_are_frozen_and_asked_where_the_entity_has_their_modality(trained, small_graph, masked):
    text = list(trained.teachers).index("text")
    teachers = {**trained.teachers, "structure": ComplEx(60, 3, rank=4)}
    assert any(value.requires_grad for value in teachers["structure"].parameters())
    ensemble = make_ensemble(DSoMConfig(mask_absent=masked), small_graph, teachers, [], torch.device("cpu"))
    assert not any(value.requires_grad for one in ensemble.teachers for value in one.parameters())
    expected = small_graph.text_mask if masked else torch.ones(60, dtype=torch.bool)
    assert torch.equal(ensemble.available[:, text], expected)
    assert bool(ensemble.available[:, 0].all())


def test_fold_teachers_know_all_facts_but_their_own(small_graph, small_options):
    """Long enough to learn by heart: the facts of the fold alone stay unknown."""
    options = {**small_options, "teacher_fit": {"epochs": 60, "patience": 99}, "teacher_dropout": 0.0, "rank": 32}
    data = copy.copy(small_graph)
    del data.val_edge_index, data.val_edge_type  # no early stopping
    trainer = DSoMTrainer(seed=3, progress=False, crossfit=2, **options)
    folds = trainer._folds(data)
    trainer.fit_fold_teachers(data)
    for number, teachers in enumerate(trainer.fold_teachers):
        scores = []
        for mine in (True, False):
            part = copy.copy(data)
            keep = (folds == number) == mine
            part.val_edge_index, part.val_edge_type = data.edge_index[:, keep], data.edge_type[keep]
            scores.append(evaluate(teachers["structure"], part, split="val").mrr)
        assert scores[1] > 0.9 > 0.5 > scores[0]


def test_a_foreign_student_is_trained_and_asked_but_not_saved(trained, small_graph, small_options, tmp_path):
    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.entity = torch.nn.Parameter(torch.zeros(60, 60))
            self.relation = torch.nn.Parameter(torch.zeros(6, 60))

        def score_tails(self, head, rel, candidates=None):
            return self.entity[head] + self.relation[rel]

    fit = {**small_options["student_fit"], "n3": 0.0}
    student = Table()
    trainer = make(trained, {**small_options, "student_fit": fit}, student=student)
    trainer.fit_student(small_graph)
    assert trainer.student is student
    assert student.entity.abs().sum() > 0
    assert trainer.evaluate(small_graph).count == 60
    assert len(trainer.predict(small_graph, head="e0", relation="r0", k=3)) == 3
    with pytest.raises(CheckpointError, match="student: cannot save a Table"):
        trainer.save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_another_loss_is_plugged_in_as_an_object(trained, small_graph, small_options):
    trainer = make(trained, small_options, loss=DISTLoss(temperature=2.0))
    trainer.fit_student(small_graph, epochs=2)
    assert trainer.history[-1]["kd"] > 0
    assert isinstance(trainer.student, EmbeddingScorer)
    assert isinstance(trainer.student, ComplEx)
