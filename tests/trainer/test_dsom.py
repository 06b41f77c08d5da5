import copy
import subprocess
import sys

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import CheckpointError, ConfigError, DataError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import ComplEx, RuleScorer
from torch_geometric_dsom.sampler import TeacherSampler


def test_fit_makes_experts_a_fused_one_and_a_student(trained, small_graph):
    assert list(trained.teachers) == ["structure", "image", "text", "fused"]
    assert trained.teachers["fused"].rank == 3 * trained.config.rank
    assert not any(p.requires_grad for teacher in trained.teachers.values() for p in teacher.parameters())
    assert isinstance(trained.student, ComplEx)
    assert {name for name, _ in trained.student.named_parameters()} == {"entity", "relation"}  # structure only
    result = trained.evaluate(small_graph, split="test")
    assert result.count == 2 * small_graph.test_edge_index.size(1)
    assert result.mrr == evaluate(trained.student, small_graph, split="test").mrr


def test_history_tells_losses_selection_reward_and_entropy(trained):
    phases = [record["phase"] for record in trained.history]
    assert list(dict.fromkeys(phases)) == ["teacher/structure", "teacher/image", "teacher/text", "student", "ce_only"]
    last = [record for record in trained.history if record["phase"] == "student"][-1]
    for name in (
        "loss",
        "ce",
        "kd",
        "kd_unlabelled",
        "gamma",
        "reward",
        "entropy",
        "loss_policy",
        "val_mrr",
        "seconds",
    ):
        assert torch.isfinite(torch.tensor(last[name])), name
    shares = [last[f"select/{name}"] for name in (*trained.teachers, "none")]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert last["select/image"] < last["select/text"] * 0.95  # a third of the entities has no picture


def test_the_trainer_learns(small_graph):
    trainer = DSoMTrainer(
        seed=0, progress=False, rank=16, teacher_hidden=32, student_fit={"epochs": 40}, teacher_fit={"epochs": 40}
    )
    trainer.fit(small_graph)
    # Nine or ten entities of the right kind among sixty, three of them ever right: chance is far below.
    assert trainer.evaluate(small_graph).mrr > 0.3
    losses = [r["ce"] for r in trainer.history if r["phase"] == "student"]
    assert losses[-1] < losses[0]


def test_same_seed_same_bytes_and_the_global_random_state_stays(small_graph, small_options):
    before = torch.get_rng_state()
    one, other = (DSoMTrainer(seed=7, progress=False, **small_options).fit(small_graph) for _ in range(2))
    assert torch.equal(one.student.entity, other.student.entity)
    assert torch.equal(before, torch.get_rng_state())
    different = DSoMTrainer(seed=8, progress=False, **small_options).fit(small_graph)
    assert not torch.equal(one.student.entity, different.student.entity)


def test_the_test_split_is_never_read_in_training(small_graph, small_options, trained):
    blind = copy.copy(small_graph)
    del blind["test_edge_index"], blind["test_edge_type"]
    trainer = DSoMTrainer(seed=3, progress=False, **small_options).fit(blind)
    assert torch.equal(trainer.student.entity, trained.student.entity)


def test_baseline_is_the_student_without_distillation(trained, small_graph, small_options):
    """gamma = 0 leaves the CE-only student, but for rounding, which Adagrad magnifies."""
    plain = DSoMTrainer(seed=3, progress=False, **{**small_options, "gamma": 0.0}, teachers=trained.teachers)
    plain.fit(small_graph)
    assert torch.allclose(plain.student.entity, trained.baseline.entity, atol=5e-3)
    assert not torch.allclose(trained.student.entity, trained.baseline.entity, atol=1e-1)


def test_parts_can_be_passed_as_objects(trained, small_graph, small_options):
    student = ComplEx(60, 3, rank=5)
    teachers = {"text": trained.teachers["text"]}
    state_dim = 10 + (5 + 2) + 4 + 1 + 6
    agent = TeacherSampler(1, state_dim, init_prob=0.999999)
    loss = NeighborDecoupledKDLoss(alpha=0.0, beta=0.5, temperature=2.0)
    trainer = DSoMTrainer(progress=False, student=student, teachers=teachers, agent=agent, loss=loss, **small_options)
    assert trainer.fit(small_graph, epochs=1) is trainer
    assert trainer.student is student
    assert trainer.agent is agent
    assert list(trainer.teachers) == ["text"]
    assert [record["phase"] for record in trainer.history] == ["student"]
    assert trainer.history[0]["select/text"] > 0.9


@pytest.mark.parametrize("kind", ["answers", "target", "none"])
def test_every_kind_of_neighbours_trains(kind, trained, small_graph, small_options):
    options = {**small_options, "neighbors": kind}
    trainer = DSoMTrainer(progress=False, teachers=trained.teachers, **options).fit(small_graph, epochs=1)
    assert torch.isfinite(trainer.student.entity).all()


@pytest.mark.parametrize("candidates", ["sampled", "topk"])
def test_candidates_that_are_all_entities_give_the_same_student(candidates, trained, small_graph, small_options):
    options = small_options | {"cache": "none", "unlabelled": 0.0}
    exact, other = (
        DSoMTrainer(seed=0, progress=False, teachers=trained.teachers, **options | more).fit_student(small_graph)
        for more in ({}, {"candidates": candidates, "num_candidates": 60})
    )
    assert torch.allclose(exact.entity, other.entity, atol=1e-4)
    fewer = options | {"candidates": candidates, "num_candidates": 5, "candidate_top_k": 3, "unlabelled": 1.0}
    trainer = DSoMTrainer(seed=0, progress=False, teachers=trained.teachers, **fewer)
    assert not torch.equal(trainer.fit_student(small_graph).entity, exact.entity)
    assert trainer.history[-1]["val_mrr"] > 0.05


def test_a_cache_of_the_largest_tells_its_error(trained, small_graph, small_options):
    trainer = DSoMTrainer(seed=0, progress=False, teachers=trained.teachers, **small_options | {"cache_top_k": 10})
    trainer.fit_student(small_graph)
    assert 0.0 < trainer.history[-1]["cache_error"] < 0.5


def test_selection_all_takes_every_teacher_that_is_available(trained, small_graph, small_options, tmp_path):
    trainer = DSoMTrainer(progress=False, teachers=trained.teachers, selection="all", **small_options)
    trainer.fit(small_graph, epochs=1)
    last = trainer.history[-1]
    assert last["select/text"] == last["select/fused"] == 1.0
    assert 0.5 < last["select/image"] < 0.8  # two thirds of the entities have a picture
    trainer.save(tmp_path / "run")
    assert torch.equal(DSoMTrainer.load(tmp_path / "run").student.entity, trainer.student.entity)


def test_soft_labels_leave_out_the_query_entity(trained, small_graph, small_options):
    trainer = DSoMTrainer(progress=False, teachers=trained.teachers, mask_self=False, **small_options)
    trainer.fit_student(small_graph, epochs=1)
    loops = small_graph.edge_type[small_graph.edge_index[0] == small_graph.edge_index[1]]
    never = next(relation for relation in range(3) if relation not in loops)
    head = torch.arange(60)
    for asked, found in ((trained, True), (trainer, False)):
        prob = asked.objective(small_graph).ensemble.soften(head, torch.full_like(head, never), 1.0)
        assert bool((prob[head, :, head] == 0).all()) is found


def test_a_custom_teacher_needs_only_score_tails(small_graph, small_options):
    class Popular:
        def score_tails(self, head, rel, candidates=None):
            return (
                torch.bincount(small_graph.edge_index.flatten(), minlength=60).float().log1p().expand(head.numel(), 60)
            )

    trainer = DSoMTrainer(progress=False, teachers={"popular": Popular()}, **small_options).fit(small_graph, epochs=1)
    assert "select/popular" in trainer.history[-1]
    with pytest.raises(CheckpointError, match="Popular"):
        trainer.save("never-written")


def test_a_graph_without_any_modality_trains(small_graph, small_options):
    bare = copy.copy(small_graph)
    for name in ("x_image", "image_mask", "x_text", "text_mask"):
        del bare[name]
    trainer = DSoMTrainer(progress=False, **small_options).fit(bare, epochs=1)
    assert list(trainer.teachers) == ["structure"]


def test_rules_guide_the_fused_teacher_alone(small_graph, small_options, trained, tmp_path):
    trainer = DSoMTrainer(seed=3, progress=False, rule_weight=2.0, **small_options).fit(small_graph, epochs=1)
    assert list(trainer.teachers) == list(trained.teachers)
    fused, head, rel = trainer.teachers["fused"], torch.arange(60), torch.arange(60) % 6
    rules = RuleScorer.from_data(small_graph)
    assert rules.num_rules > 0
    expected = trained.teachers["fused"].score_tails(head, rel) + 2.0 * rules.score_tails(head, rel)
    torch.testing.assert_close(fused.score_tails(head, rel), expected)
    assert torch.equal(trainer.teachers["text"].entity, trained.teachers["text"].entity)
    trainer.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run")
    assert torch.equal(again.teachers["fused"].score_tails(head, rel), fused.score_tails(head, rel))
    assert again.selection(small_graph).total == trainer.selection(small_graph).total


def test_rules_of_a_fold_do_not_know_its_facts(small_graph, small_options):
    trainer = DSoMTrainer(seed=3, progress=False, rule_weight=2.0, crossfit=2, **small_options)
    trainer.fit_fold_teachers(small_graph)
    folds = trainer._folds(small_graph)
    for fold, teachers in enumerate(trainer.fold_teachers):
        part = copy.copy(small_graph)
        part.edge_index, part.edge_type = small_graph.edge_index[:, folds != fold], small_graph.edge_type[folds != fold]
        assert torch.equal(teachers["fused"].guide.weight, RuleScorer.from_data(part).weight)


def test_with_rules_there_is_a_fused_teacher_of_structure_alone(small_graph, small_options):
    bare = copy.copy(small_graph)
    for name in ("x_image", "image_mask", "x_text", "text_mask"):
        del bare[name]
    teachers = DSoMTrainer(progress=False, rule_weight=1.0, **small_options).fit_teachers(bare)
    assert list(teachers) == ["structure", "fused"]
    head, rel = torch.arange(60), torch.zeros(60, dtype=torch.long)
    assert not torch.equal(teachers["fused"].score_tails(head, rel), teachers["structure"].score_tails(head, rel))


def test_a_save_whose_student_is_none_is_refused(small_graph, small_options, tmp_path):
    trainer = DSoMTrainer(progress=False, rule_weight=1.0, **small_options).fit(small_graph, epochs=1)
    trainer.student = trainer.teachers["fused"]
    trainer.save(tmp_path / "run")
    with pytest.raises(CheckpointError, match="student: expected plain tables, got a GuidedScorer"):
        DSoMTrainer.load(tmp_path / "run")


def test_without_validation_all_epochs_are_run(small_graph, small_options):
    bare = copy.copy(small_graph)
    del bare["val_edge_index"], bare["val_edge_type"]
    trainer = DSoMTrainer(progress=False, **small_options).fit(bare, epochs=3)
    assert trainer.results["student"].best_epoch == 3


def test_predict_gives_labels_and_leaves_known_facts_out(trained, small_graph):
    head = int(small_graph.edge_index[0, 0])
    relation = int(small_graph.edge_type[0])
    known = small_graph.edge_index[1][
        (small_graph.edge_index[0] == head) & (small_graph.edge_type == relation)
    ].tolist()
    answers = trained.predict(small_graph, head=f"thing {head}", relation=f"leads {relation}", k=60)
    assert len(answers) == 60 - len(known)
    assert not {a.entity for a in answers} & set(known)
    assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
    assert answers[0].label == f"thing {answers[0].entity}"
    marked = trained.predict(small_graph, head=head, relation=relation, k=60, exclude_known=False)
    assert {a.entity for a in marked if a.known} == set(known)
    assert sum(a.probability for a in marked) == pytest.approx(1.0, abs=1e-4)


def test_predict_of_a_head_asks_the_inverse_relation(trained):
    answers = trained.predict(tail=5, relation=1, k=1)
    scores = trained.student.score_tails(torch.tensor([5]), torch.tensor([1 + 3]))[0]
    assert answers[0].entity == int(scores.argmax())


def test_save_and_load_restore_everything(trained, small_graph, tmp_path):
    trained.save(tmp_path / "run")
    again = DSoMTrainer.load(tmp_path / "run")
    assert torch.equal(again.student.entity, trained.student.entity)
    assert torch.equal(again.baseline.entity, trained.baseline.entity)
    assert again.config == trained.config
    assert again.history == trained.history
    assert again.evaluate(small_graph).to_dict() == trained.evaluate(small_graph).to_dict()
    head, rel = torch.tensor([1]), torch.tensor([2])
    for name, teacher in trained.teachers.items():
        assert torch.equal(again.teachers[name].score_tails(head, rel), teacher.score_tails(head, rel))
    state = torch.zeros(1, trained.agent.state_dim)
    assert torch.equal(again.agent(state), trained.agent(state))
    trained.save(tmp_path / "run")  # an older save is replaced
    assert DSoMTrainer.load(tmp_path / "run").seed == 3


def test_a_saved_student_predicts_in_a_process_without_features_or_dataset(trained, tmp_path):
    """The student touches no feature: the process has none, and no dataset is ever opened."""
    trained.save(tmp_path / "run")
    code = """
import sys
from torch_geometric_dsom import DSoMTrainer
trainer = DSoMTrainer.load(sys.argv[1])
tables = {name: tuple(p.shape) for name, p in trainer.student.named_parameters()}
assert tables == {"entity": (60, 16), "relation": (6, 16)}, tables
assert not list(trainer.student.buffers())
assert not any(name.startswith("torch_geometric_dsom.datasets") for name in sys.modules)
print(trainer.predict(head="e4", relation="r1", k=1)[0].id)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == trained.predict(head="e4", relation="r1", k=1)[0].id


def test_bad_input_is_named_before_any_training(small_graph, small_options):
    with pytest.raises(ConfigError, match="gama: unknown option; did you mean 'gamma'"):
        DSoMTrainer(gama=1.0)
    with pytest.raises(ConfigError, match=r"student_fit.lr: expected float, got str 'fast'"):
        DSoMTrainer(student_fit={"lr": "fast"})
    trainer = DSoMTrainer(progress=False, **small_options)
    broken = copy.copy(small_graph)
    broken.x_text = small_graph.x_text[:-1]
    with pytest.raises(DataError, match=r"x_text.*\[60, D\].*\[59, 8\]"):
        trainer.fit(broken)
    broken.x_text = small_graph.x_text.clone()
    broken.x_text[17, 0] = torch.nan
    with pytest.raises(DataError, match=r"x_text\[17\]"):
        trainer.fit(broken)
    assert trainer.history == []
    with pytest.raises(ConfigError, match="call fit first"):
        trainer.evaluate(small_graph)
    with pytest.raises(ConfigError, match="teachers"):
        trainer.fit_student(small_graph)
    with pytest.raises(DataError, match="61 entities"):
        DSoMTrainer(student=ComplEx(61, 3, rank=2)).fit(small_graph)


def test_repr(trained):
    expected = "DSoMTrainer(seed=3, rank=8, trained, teachers=['structure', 'image', 'text', 'fused'])"
    assert repr(trained) == expected
