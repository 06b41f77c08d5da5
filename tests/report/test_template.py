import sys

import pytest

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.report.template import render, write_page


def test_without_jinja2_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"torch_geometric_dsom\[report\]"):
        render("run.html.j2")


def test_a_page_is_written_as_a_whole(tmp_path):
    path = write_page(tmp_path / "new" / "a.html", "<p>ä</p>")
    assert path.read_text(encoding="utf-8") == "<p>ä</p>"
    assert [file.name for file in path.parent.iterdir()] == ["a.html"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_page(path / "below.html", "")
