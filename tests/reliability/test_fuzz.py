"""Changed files of checkpoints, saved trainers and saved students: a value or an error of ours, and nothing runs."""

import pickle
import sys

import pytest


@pytest.mark.parametrize("count", [250, pytest.param(2500, marks=pytest.mark.slow)])
def test_changed_files(fuzz, tmp_path, count):
    found = fuzz.fuzz(count, seed=count, folder=tmp_path)
    assert found["failures"] == []
    assert found["executed"] == []
    assert found["error of ours"] > count  # of two readers a file
    assert found["read"] > count // 10  # sums that were made right let some through


def test_the_watch_sees_what_is_executed(fuzz, tmp_path):
    watch = fuzz.Watch()
    bomb = pickle.dumps(fuzz.Bomb()) if hasattr(sys.modules.get("reliability_fuzz"), "Bomb") else None
    watch.folder = str(tmp_path)
    try:
        if bomb is not None:
            with pytest.raises(SystemExit, match="executed"):
                pickle.loads(bomb)
        exec("1 + 1")
        open("/dev/null").close()
    finally:
        watch.folder = None
    assert any(event.startswith("exec") for event in watch.seen)
    assert any("/dev/null" in event for event in watch.seen)
    if bomb is not None:
        assert any(event.startswith("pickle.find_class") for event in watch.seen)
