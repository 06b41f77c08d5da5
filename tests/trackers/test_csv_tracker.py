import csv

from torch_geometric_dsom.trackers import CSVTracker


def test_what_is_written_can_be_read_back(tmp_path):
    tracker = CSVTracker(tmp_path / "run.csv")
    tracker.start_run()
    tracker.log_params({"selection": "single:a,b", "fit": {"lr": 0.1}, "note": "two\nlines"})
    tracker.log_metrics({"loss": 0.1 + 0.2, "select/none": float("nan")}, step=7, prefix="student")
    tracker.end_run()
    rows = list(csv.reader((tmp_path / "run.csv").open(newline="")))
    assert rows[0] == ["type", "step", "key", "value"]
    assert ["parameter", "0", "selection", "single:a,b"] in rows
    assert ["parameter", "0", "fit.lr", "0.1"] in rows
    assert ["parameter", "0", "note", "two lines"] in rows
    assert ["metric", "7", "student.select/none", "nan"] in rows
    assert float(rows[-2][3]) == 0.1 + 0.2
