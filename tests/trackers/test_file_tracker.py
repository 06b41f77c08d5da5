import pytest

from torch_geometric_dsom.errors import DataError
from torch_geometric_dsom.trackers.csv_tracker import CSVTracker
from torch_geometric_dsom.trackers.json_lines_tracker import JSONLinesTracker


def track(tracker, first, last):
    tracker.start_run("mine")
    tracker.log_params({"rank": first})
    for step in range(first, last + 1):
        tracker.log_metrics({"loss": 1 / step}, step=step, prefix="student")
    tracker.end_run()


@pytest.mark.parametrize("cls", [CSVTracker, JSONLinesTracker])
def test_a_run_from_the_start_begins_the_file_anew(cls, tmp_path):
    track(cls(tmp_path / "a"), 1, 9)
    track(cls(tmp_path / "a"), 1, 2)
    track(cls(tmp_path / "b"), 1, 2)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


@pytest.mark.parametrize("cls", [CSVTracker, JSONLinesTracker])
def test_a_run_that_goes_on_replaces_what_comes_again_and_what_is_torn(cls, tmp_path):
    track(cls(tmp_path / "whole"), 1, 6)
    track(cls(tmp_path / "parts"), 1, 5)
    content = (tmp_path / "parts").read_text()
    (tmp_path / "parts").write_text(content + content[-12:-3])  # cut off while writing
    track(cls(tmp_path / "parts"), 4, 6)
    assert (tmp_path / "parts").read_text() == (tmp_path / "whole").read_text()


def test_nothing_to_tell_writes_nothing(tmp_path):
    track(CSVTracker(tmp_path / "new" / "a.csv"), 1, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"a\.csv: cannot be written"):
        track(CSVTracker(tmp_path / "file" / "a.csv"), 1, 1)
    assert "a.csv" in repr(CSVTracker("a.csv"))
