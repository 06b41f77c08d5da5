import pytest

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.plots import plot_choices, plot_history


def test_lines_are_the_records(trained):
    figure = plot_history(trained.history)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(lines) == {"structure", "image", "text", "DSoM student", "CE-only student"}
    rows = [(r["epoch"], r["val_mrr"]) for r in trained.history if r["phase"] == "student" and "val_mrr" in r]
    assert list(zip(*lines["DSoM student"].get_data(), strict=True)) == rows
    one = plot_history(trained.history, "kd", ["student"]).axes[0]
    assert one.get_ylabel() == "kd"
    assert len(one.get_lines()[0].get_xdata()) == 4


def test_choices_are_the_records(trained):
    axes = plot_choices(trained.history).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"structure", "image", "text", "fused", "no teacher"}
    shares = [r["select/text"] for r in trained.history if r["phase"] == "student"]
    assert list(lines["text"].get_ydata()) == shares


def test_what_is_not_there_is_named(trained):
    with pytest.raises(ConfigError, match="got 'mrr' of .*known: .*'val_mrr'"):
        plot_history(trained.history, "mrr")
    with pytest.raises(ConfigError, match="select/<teacher>, got none"):
        plot_choices([{"phase": "student", "epoch": 1, "loss": 1.0}])
