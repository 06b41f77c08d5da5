import json

import pytest


@pytest.fixture
def page(run):
    """Where the page is put by itself; gone afterwards, since the run is not to be changed."""
    path = run[0] / "report.html"
    yield path
    path.unlink(missing_ok=True)


def test_a_page_in_the_run_folder(call, run, page):
    result = call("report", "--run", run[0])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(page)
    text = page.read_text(encoding="utf-8")
    assert "<h1>small</h1>" in text
    assert "data:image/png" in text
    mrr = json.loads((run[0] / "results.json").read_text())["test"]["rows"]["DSoM student"]["metrics"]["both"]["mrr"]
    assert f"{mrr:.4f}" in text


def test_a_page_elsewhere_and_plain_values(call, run, page, tmp_path):
    result = call(
        "report", "--run", run[0], "--split", "val", "--title", "Mine", "--out", tmp_path / "a.html", "--json"
    )
    told = json.loads(result.stdout)
    assert told["comparison"]["split"] == "val"
    assert told["environment"]["device"] == "cpu"
    assert "<h1>Mine</h1>" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert json.loads(call("report", "--run", run[0], "--json").stdout)["title"] == "small"
    assert not page.exists()


def test_bad_input(call, run):
    result = call("report", "--run", run[0], "--split", "tset")
    assert result.exit_code == 2
    assert "did you mean 'test'" in result.stderr
