import sys

import pytest

from torch_geometric_dsom.trackers import TensorBoardTracker


def track(folder, steps):
    tracker = TensorBoardTracker(folder)
    tracker.start_run("mine")
    tracker.log_params({"fit": {"lr": 0.1}})
    for step in steps:
        tracker.log_metrics({"loss": 1 / step}, step=step, prefix="student")
    tracker.end_run()


def test_what_is_written_can_be_read_back_and_is_there_once(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(tmp_path, [1, 2, 3, 4])
    track(tmp_path, [3, 4, 5])  # resumed after step 2
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Scalars("student/loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4, 5]
    assert scalars[3].value == pytest.approx(1 / 4)
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| fit.lr | 0.1 |" in text


def test_without_tensorboard_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"torch_geometric_dsom\[tensorboard\]"):
        TensorBoardTracker(tmp_path)
