import sys
import types

import pytest

from torch_geometric_dsom.trackers import WandbTracker


class Run:
    """Stands in for a run of Weights & Biases; leaves out steps that do not rise, as the real one does."""

    def __init__(self, **options):
        self.options, self.config, self.axes, self.logged, self.exit_code = options, self, {}, {}, None
        self.params = {}

    def update(self, params, allow_val_change=False):
        self.params.update(params)

    def define_metric(self, name, step_metric):
        self.axes[name] = step_metric

    def log(self, metrics, step):
        if step > max(self.logged, default=0):
            self.logged[step] = metrics

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def runs(monkeypatch):
    made = []

    def init(**options):
        made.append(Run(**options))
        return made[-1]

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    return made


def test_numbers_arrive_over_the_epochs_of_their_phase(runs):
    tracker = WandbTracker("graphs", mode="offline")
    tracker.start_run("mine")
    tracker.log_params({"rank": 8})
    tracker.log_metrics({"epoch": 1.0, "loss": 0.5}, step=1, prefix="teacher/text")
    tracker.log_metrics({"epoch": 1.0, "loss": 0.25}, step=2, prefix="student")
    tracker.log_metrics({"epoch": 1.0, "loss": 0.25}, step=2, prefix="student")
    tracker.end_run(success=False)
    run = runs[0]
    assert run.options == {"project": "graphs", "name": "mine", "mode": "offline"}
    assert run.params == {"rank": 8}
    assert run.axes == {"teacher/text/*": "teacher/text/epoch", "student/*": "student/epoch"}
    assert run.logged[2] == {"student/epoch": 1.0, "student/loss": 0.25}
    assert sorted(run.logged) == [1, 2]
    assert run.exit_code == 1


def test_without_wandb_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"torch_geometric_dsom\[wandb\]"):
        WandbTracker("graphs")
