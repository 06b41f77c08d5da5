import sys
import xml.etree.ElementTree as ElementTree

import pytest

from torch_geometric_dsom.plots import plot_history
from torch_geometric_dsom.plots.figure import INK, colour, new_figure, to_svg


def test_svg_for_a_page_is_sound_and_takes_its_colours():
    figure = plot_history([{"phase": "student", "epoch": e, "val_mrr": 0.1 * e} for e in (1, 2)])
    svg = to_svg(figure)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "currentColor" in svg
    assert INK not in svg
    assert ">epoch</text>" in svg  # text stays text
    assert "width" not in root.attrib  # it takes the width of its place
    assert svg == to_svg(figure)


def test_colours_are_the_same_everywhere():
    assert colour("fold1/teacher/text") == colour("text")
    assert len({colour(name) for name in ("student", "ce_only", "structure", "image", "text", "fused")}) == 6


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"torch_geometric_dsom\[plot\]"):
        new_figure("me")
