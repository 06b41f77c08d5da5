import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.trackers import CSVTracker, JSONLinesTracker, Tracker, TrackerList
from torch_geometric_dsom.trackers.tracker import flat


class Recorder:
    """Keeps every call."""

    def __init__(self):
        self.calls = []

    def start_run(self, run_name=None):
        self.calls.append(("start", run_name))

    def log_params(self, params, prefix=None):
        self.calls.append(("params", params))

    def log_metrics(self, metrics, step=None, prefix=None):
        self.calls.append(("metrics", prefix, step, metrics))

    def end_run(self, success=True):
        self.calls.append(("end", success))


@pytest.fixture
def one_epoch(small_options):
    fits = {name: {**small_options[name], "epochs": 2} for name in ("student_fit", "teacher_fit")}
    return {**small_options, **fits, "progress": False}


def test_a_run_is_one_start_one_end_and_every_epoch_once_with_rising_steps(small_graph, one_epoch):
    tracker: Tracker = Recorder()
    trainer = DSoMTrainer(seed=5, trackers=[tracker], **one_epoch)
    with trainer.tracked():
        trainer.fit(small_graph)
        trainer.fit_baseline(small_graph)
    kinds = [call[0] for call in tracker.calls]
    assert kinds == ["start", "params", *["metrics"] * len(trainer.history), "end"]
    assert tracker.calls[0] == ("start", "dsomtrainer-seed5")
    assert tracker.calls[1][1]["student_fit"]["epochs"] == 2
    assert tracker.calls[1][1]["seed"] == 5
    assert tracker.calls[-1] == ("end", True)
    metrics = tracker.calls[2:-1]
    assert [step for _, _, step, _ in metrics] == list(range(1, len(metrics) + 1))
    for (_, phase, _, numbers), record in zip(metrics, trainer.history, strict=True):
        assert {"phase": phase, **numbers} == record


def test_a_run_that_fails_is_told_so(small_graph, one_epoch):
    tracker = Recorder()

    def stop(record):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        DSoMTrainer(trackers=[tracker], **one_epoch).fit(small_graph, on_epoch=stop)
    assert [call[0] for call in tracker.calls] == ["start", "params", "metrics", "end"]
    assert tracker.calls[-1] == ("end", False)


def test_a_directory_that_is_refused_starts_no_tracker(small_graph, one_epoch, tmp_path):
    (tmp_path / "cat.txt").write_text("cat")
    tracker = Recorder()
    with pytest.raises(RuntimeError, match=r"cat\.txt"):
        DSoMTrainer(trackers=[tracker], checkpoint_dir=tmp_path, **one_epoch).fit(small_graph)
    assert tracker.calls == []


def test_trackers_change_nothing(small_graph, one_epoch):
    plain = DSoMTrainer(seed=1, **one_epoch).fit(small_graph)
    tracked = DSoMTrainer(seed=1, trackers=[Recorder()], **one_epoch).fit(small_graph)
    assert torch.equal(plain.student.entity, tracked.student.entity)


@pytest.mark.parametrize(("cls", "suffix"), [(CSVTracker, "csv"), (JSONLinesTracker, "jsonl")])
def test_a_run_that_is_cut_off_and_resumed_writes_no_epoch_twice(cls, suffix, small_graph, one_epoch, tmp_path):
    """Cut off after an epoch was written but before it was kept: the resumed run comes by it again."""

    def fit(path, **options):
        return DSoMTrainer(seed=1, trackers=[cls(path)], **options, **one_epoch).fit

    fit(tmp_path / f"whole.{suffix}")(small_graph)
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 4:
            raise RuntimeError("power is out")

    kept, path = tmp_path / "run", tmp_path / f"parts.{suffix}"
    with pytest.raises(RuntimeError, match="power is out"):
        fit(path, checkpoint_dir=kept)(small_graph, on_epoch=stop)
    fit(path, checkpoint_dir=kept, resume=True)(small_graph)
    whole, parts = ((tmp_path / f"{name}.{suffix}").read_text().splitlines() for name in ("whole", "parts"))
    assert [without_seconds(line) for line in parts] == [without_seconds(line) for line in whole]
    fit(path, checkpoint_dir=kept, resume=True)(small_graph)  # nothing left to do: nothing is written
    assert path.read_text().splitlines() == parts


def without_seconds(line):
    if line.startswith("{"):
        return line.partition('"seconds"')[0]
    return line if "seconds" not in line else line.rpartition(",")[0]


def test_pykeen_trackers_plug_in(small_graph, one_epoch, tmp_path):
    trackers = pytest.importorskip("pykeen.trackers", reason="needs PyKEEN")
    memory, file = trackers.PythonResultTracker(), trackers.CSVResultTracker(tmp_path / "theirs.csv")
    lines = trackers.JSONResultTracker(tmp_path / "theirs.jsonl")
    trainer = DSoMTrainer(seed=2, trackers=[memory, file, lines, CSVTracker(tmp_path / "ours.csv")], **one_epoch)
    trainer.fit(small_graph)
    assert memory.configuration["rank"] == 8
    last = len(trainer.history)
    assert memory.metrics[last]["student.loss"] == trainer.history[-1]["loss"]
    assert sorted(memory.metrics) == list(range(1, last + 1))
    ours, theirs = ((tmp_path / f"{name}.csv").read_text().splitlines() for name in ("ours", "theirs"))
    assert ours == theirs  # the same columns, rows and order


def test_a_list_starts_once_and_ends_what_it_started():
    class Broken(Recorder):
        def start_run(self, run_name=None):
            raise OSError("no network")

    first, last = Recorder(), Recorder()
    trackers = TrackerList([first, Broken(), last])
    with pytest.raises(OSError, match="no network"), trackers.run("mine"):
        pass
    assert [call[0] for call in first.calls] == ["start", "end"]
    assert first.calls[-1] == ("end", False)
    assert last.calls == []


def test_flat_names():
    assert flat({"a": {"b": {"c": 1}}, "d": None}) == {"a.b.c": 1, "d": None}
