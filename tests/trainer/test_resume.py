"""A run that is stopped anywhere and goes on ends where it would have ended."""

import json
import os
import signal
import threading

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import CheckpointError, ConfigError, NonFiniteError
from torch_geometric_dsom.trainer import fit, wiring
from torch_geometric_dsom.trainer import objective as objectives

OPTIONS = {"teacher_dropout": 0.3, "student_dropout": 0.2, "candidate_top_k": 3}
VARIANTS = {
    "default": {},
    "reinforce": {"gradient": "reinforce", "agent_baseline": "learned", "temperature": 2.0},
    "training facts": {"reward_facts": "train", "reward": "influence", "cache": "none"},
    "lookahead": {"reward": "lookahead", "cache": "mmap"},
    "random sets, few candidates": {"selection": "random", "candidates": "topk", "num_candidates": 20},
    "cross-fitted": {"crossfit": 2, "cache_top_k": 8},
    "paths": {"path_weight": 1.0, "path_dim": 6, "path_fit": {"epochs": 4, "evaluate_every": 2, "max_batches": 3}},
}


class PowerGoneError(Exception):
    """Power is gone."""


def stop_after(batches):
    """Counts batches of all phases."""
    left = [batches]

    def count(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise PowerGoneError

    return count


def trainer(options, variant="default", **kwargs):
    return DSoMTrainer(seed=1, progress=False, **{**options, **OPTIONS, **VARIANTS[variant]}, **kwargs)


def same(one, other):
    assert torch.equal(one.student.entity, other.student.entity)
    assert torch.equal(one.student.relation, other.student.relation)
    for name, teacher in one.teachers.items():
        found = other.teachers[name].state_dict()
        assert all(torch.equal(value, found[key]) for key, value in teacher.state_dict().items()), name
    drop = {"seconds"}
    histories = [[{k: v for k, v in record.items() if k not in drop} for record in t.history] for t in (one, other)]
    assert histories[0] == histories[1]
    if isinstance(one.agent, torch.nn.Module):
        for name, value in one.agent.state_dict().items():
            assert not isinstance(value, torch.Tensor) or torch.equal(value, other.agent.state_dict()[name]), name


@pytest.fixture
def interrupted(monkeypatch):
    """Runs a training until so many batches of student or agent are done, then ends it without a word."""

    def run(make, data, batches):
        from torch_geometric_dsom.trainer.phase_keeper import PhaseKeeper

        with monkeypatch.context() as patch:
            patch.setattr(PhaseKeeper, "batch_done", stop_after(batches))
            with pytest.raises(PowerGoneError):
                make().fit(data)

    return run


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_was_cut_off_ends_with_the_same_bits(small_graph, small_options, tmp_path, interrupted, variant):
    whole = trainer(small_options, variant).fit(small_graph)
    folds = 2 * 3 if variant == "cross-fitted" else 0
    length = 4 * 4 * 4 + folds * 4 * 4  # phases, epochs, batches at least
    for batches in (2, 7 * length // 8):
        interrupted(lambda: trainer(small_options, variant, checkpoint_dir=tmp_path, resume=True), small_graph, batches)
    same(whole, trainer(small_options, variant, checkpoint_dir=tmp_path, resume=True).fit(small_graph))


def test_stopping_in_the_middle_of_an_epoch_keeps_the_middle(small_graph, small_options, tmp_path, monkeypatch):
    """A signal is answered after the batch; the batches that are done are not done again."""
    whole = trainer(small_options).fit(small_graph)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    calls, original = [0], objectives.DistillationObjective.__call__

    def counted(self, batch, epoch):
        calls[0] += 1
        if calls[0] == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, epoch)

    monkeypatch.setattr(objectives.DistillationObjective, "__call__", counted)
    with pytest.raises(SystemExit) as stopped:
        trainer(small_options, checkpoint_dir=tmp_path).fit(small_graph)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    again = trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(small_graph)
    same(whole, again)
    student = [record for record in again.history if record["phase"] == "student"]
    batches = len(again._sampler(small_graph, again.config.student_fit, "student"))
    assert calls[0] == len(student) * batches  # six before, the others after


def test_ctrl_c_is_a_keyboard_interrupt(small_graph, small_options, tmp_path):
    def press(record):
        if record["phase"] == "student" and record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="student: stopped, saved in"):
        trainer(small_options, checkpoint_dir=tmp_path).fit(small_graph, on_epoch=press)
    again = trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(small_graph)
    same(trainer(small_options).fit(small_graph), again)


def test_a_finished_run_is_not_run_again(small_graph, small_options, tmp_path):
    first = trainer(small_options, checkpoint_dir=tmp_path).fit(small_graph)
    first.fit_baseline(small_graph)
    seen = []
    again = trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(small_graph, on_epoch=seen.append)
    again.fit_baseline(small_graph, on_epoch=seen.append)
    same(first, again)
    assert torch.equal(first.baseline.entity, again.baseline.entity)
    assert seen == []
    assert again.selection(small_graph).total == first.selection(small_graph).total


def test_a_run_of_something_else_is_not_gone_on_with(small_graph, small_options, tmp_path):
    trainer(small_options, checkpoint_dir=tmp_path).fit_teachers(small_graph)
    with pytest.raises(CheckpointError, match="set resume=True"):
        trainer(small_options, checkpoint_dir=tmp_path).fit(small_graph)
    with pytest.raises(CheckpointError, match=r"gamma=2\.0, got 3\.0"):
        trainer(small_options | {"gamma": 3.0}, checkpoint_dir=tmp_path, resume=True).fit(small_graph)
    other = small_graph.clone()
    other.edge_index = other.edge_index.flip(0)
    with pytest.raises(CheckpointError, match="has data="):
        trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(other)


def test_resume_of_nothing_begins(small_graph, small_options, tmp_path):
    run = trainer(small_options, checkpoint_dir=tmp_path / "new", resume=True).fit(small_graph)
    same(run, trainer(small_options).fit(small_graph))


def test_in_another_thread_signals_are_left_alone(small_graph, small_options, tmp_path):
    run = trainer(small_options, checkpoint_dir=tmp_path)
    thread = threading.Thread(target=run.fit, args=(small_graph,))
    thread.start()
    thread.join()
    assert run.vocabulary is not None


def test_a_failure_points_to_the_last_good_checkpoint(small_graph, small_options, tmp_path):
    run = trainer(small_options, checkpoint_dir=tmp_path)
    run.fit_teachers(small_graph)

    def break_it(record):
        if record["phase"] == "student" and record["epoch"] == 2:
            with torch.no_grad():
                run.student.entity[3] = float("nan")

    with pytest.raises(
        NonFiniteError,
        match=r"student: .*, in epoch 3, batch 1; parameters that are not finite: .*; .*checkpoints/student/0",
    ):
        run.fit_student(small_graph, on_epoch=break_it)


def test_checkpoints_every_few_epochs(small_graph, small_options, tmp_path):
    numbers = []
    run = trainer(small_options, checkpoint_dir=tmp_path, checkpoint_every=3)
    run.fit_teachers(small_graph)
    run.fit_student(
        small_graph,
        on_epoch=lambda record: numbers.append(
            len(list((tmp_path / "checkpoints" / "student").glob("*/manifest.json")))
        ),
    )
    assert numbers == [0, 0, 0, 1]


def test_fit_takes_where_the_run_is_kept(small_graph, small_options, tmp_path):
    whole = trainer(small_options).fit(small_graph)
    first = trainer(small_options)
    first.fit(small_graph, checkpoint_dir=tmp_path / "run", checkpoint_every=2, keep_checkpoints=1)
    assert sorted(os.listdir(tmp_path / "run" / "phases"))[0] == "student"
    first.fit_baseline(small_graph)  # what follows is kept there too
    assert (tmp_path / "run" / "phases" / "ce_only" / "manifest.json").is_file()
    again = trainer(small_options).fit(small_graph, checkpoint_dir=tmp_path / "run", resume=True)
    same(whole, again)
    assert list(again.results) == [phase for phase in first.results if phase != "ce_only"]
    again.fit(small_graph)  # once more: it is finished, and told once
    same(whole, again)
    with pytest.raises(CheckpointError, match="set resume=True"):
        trainer(small_options).fit(small_graph, checkpoint_dir=tmp_path / "run")
    for name in ("checkpoint_every", "keep_checkpoints"):
        with pytest.raises(ConfigError, match=f"{name}: expected a positive number, got 0"):
            trainer(small_options).fit(small_graph, **{name: 0})


def test_another_number_of_epochs_is_another_run(small_graph, small_options, tmp_path):
    trainer(small_options).fit(small_graph, epochs=2, checkpoint_dir=tmp_path)
    with pytest.raises(CheckpointError, match="student: the run there has epochs=2, got 3"):
        trainer(small_options).fit(small_graph, epochs=3, checkpoint_dir=tmp_path, resume=True)


def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(small_graph, small_options, tmp_path):
    whole = trainer(small_options).fit(small_graph)
    run = trainer(small_options, checkpoint_dir=tmp_path)

    def stop(record):
        if record["phase"] == "student" and record["epoch"] == 3:
            raise PowerGoneError

    with pytest.raises(PowerGoneError):
        run.fit(small_graph, on_epoch=stop)
    last = sorted((tmp_path / "checkpoints" / "student").iterdir())[-1]
    next(last.glob("tensors-*")).write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=f"{last}.*; going back to .*00000001"):
        again = trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(small_graph)
    same(whole, again)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("where", ["fact_signals", "evaluate"])
def test_a_signal_between_batches_is_answered_at_once(small_graph, small_options, tmp_path, monkeypatch, number, where):
    """Filling the cache and validating may take long, and nothing is lost by cutting them short."""
    module = {"fact_signals": wiring, "evaluate": fit}[where]
    original, calls = getattr(module, where), []

    def cut(*args, **kwargs):
        calls.append(where)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
            pytest.fail("went on")
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, where, cut)
        with pytest.raises({signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}[number]):
            trainer(small_options, checkpoint_dir=tmp_path).fit(small_graph)
    if where == "evaluate":  # what was trained before the validation is not trained again
        (place,) = (tmp_path / "checkpoints").glob("*/00000004")
        meta = json.loads(next(place.glob("meta-*")).read_text())["fit"]
        batches = len(
            trainer(small_options)._sampler(small_graph, DSoMTrainer(**small_options).config.structure_fit, "")
        )
        assert (meta["epoch"], meta["batch"]) == (4, batches)
    again = trainer(small_options, checkpoint_dir=tmp_path, resume=True).fit(small_graph)
    same(trainer(small_options).fit(small_graph), again)
