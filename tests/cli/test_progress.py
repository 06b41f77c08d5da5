import io

from rich.console import Console

from torch_geometric_dsom.cli.progress import RunProgress, phases_of
from torch_geometric_dsom.trainer import DSoMConfig

PHASES = {"teacher/structure": 3, "student": 4}


def record(phase, epoch, **more):
    return {"phase": phase, "epoch": epoch, "loss": 1.5, **more}


def shown(width=100):
    out = io.StringIO()
    return out, Console(file=out, force_terminal=True, width=width, color_system=None)


def test_bars_on_a_terminal():
    out, console = shown()
    with RunProgress(PHASES, console) as progress:
        progress(record("teacher/structure", 1, val_mrr=0.25))
        progress(record("teacher/structure", 2, val_mrr=0.2))  # stops early
        progress(record("student", 1))
        assert progress.best == {"teacher/structure": 0.25}
    last = out.getvalue().split("teacher/structure")[-1]
    assert "2/2" in last
    assert "loss 1.500  best MRR 0.2500" in last
    assert "1/1" in last


def test_a_phase_without_an_epoch_was_done_before():
    out, console = shown()
    with RunProgress(PHASES, console) as progress:
        for epoch in range(1, 5):
            progress(record("student", epoch))
    last = out.getvalue().split("teacher/structure")[-1]
    assert "done before" in last.splitlines()[0]
    assert "4/4" in last


def test_a_run_that_fails_leaves_its_bars_as_they_are():
    out, console = shown()
    progress = RunProgress(PHASES, console).__enter__()
    progress(record("teacher/structure", 1))
    progress.__exit__(RuntimeError, RuntimeError(), None)
    assert "1/3" in out.getvalue().split("teacher/structure")[-1]


def test_plain_lines_elsewhere(capsys):
    with RunProgress(PHASES, Console(file=io.StringIO())) as progress:
        for epoch in (1, 2, 3):
            progress(record("teacher/structure", epoch, **({"val_mrr": 0.25} if epoch == 2 else {})))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "teacher/structure: epoch 2, loss 1.5000, validation MRR 0.2500",
        "teacher/structure: epoch 3, loss 1.5000",
    ]


def test_phases_in_their_order(small_graph):
    config = DSoMConfig.from_dict(
        {"crossfit": 2, "structure_experts": 2, "student_fit": {"epochs": 5}, "teacher_fit": {"epochs": 7}}
    )
    assert list(phases_of(small_graph, config, compare=False, taught=True)) == ["student"]
    phases = phases_of(small_graph, config, compare=True)
    experts = ["teacher/structure", "teacher/structure2", "teacher/image", "teacher/text"]
    folds = [f"fold{fold}/{name}" for fold in (0, 1) for name in experts]
    assert list(phases) == [*experts, *folds, "student", "ce_only"]
    assert (phases["fold1/teacher/text"], phases["student"], phases["ce_only"]) == (7, 5, 5)
