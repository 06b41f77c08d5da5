import json

from torch_geometric_dsom.trackers import JSONLinesTracker


def test_what_is_written_is_strict_json(tmp_path):
    tracker = JSONLinesTracker(tmp_path / "run.jsonl")
    tracker.start_run()
    tracker.log_params({"fit": {"lr": 0.1}}, prefix="config")
    tracker.log_metrics({"loss": 0.5, "val_mrr": float("nan")}, step=3, prefix="student")
    tracker.end_run()

    def refuse(value):
        raise AssertionError(f"not JSON: {value}")

    lines = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert lines == [
        {"prefix": "config", "params": {"fit": {"lr": 0.1}}},
        {"prefix": "student", "step": 3, "metrics": {"loss": 0.5, "val_mrr": None}},
    ]
