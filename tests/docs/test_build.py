"""The docs are built without a warning and without a network, and hold every public name and every command."""

import importlib
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = [
    path.parent.name for path in (ROOT / "torch_geometric_dsom").glob("*/__init__.py") if path.parent.name != "cli"
]
for module in ("sphinx", "furo", "myst_parser"):
    pytest.importorskip(module, reason="needs the extra docs")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(folder / "html")], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_public_name_is_in_the_api(built):
    inventory = (built / "objects.inv").read_bytes().split(b"\n", 4)[4]
    names = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    top = importlib.import_module("torch_geometric_dsom").__all__
    assert {f"torch_geometric_dsom.{name}" for name in top} <= names
    for room in ROOMS:
        here = set(importlib.import_module(f"torch_geometric_dsom.{room}").__all__) - set(top)
        assert {f"torch_geometric_dsom.{room}.{name}" for name in here} <= names, room


def test_every_command_and_option_is_shown(built):
    import typer

    from torch_geometric_dsom.cli import app

    page = (built / "command_line.html").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f'id="command-{name}"' in page
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                assert option.opts[0] in page, (name, option.opts)
    assert "130" in page  # exit codes


def test_pages_load_nothing_from_elsewhere(built):
    for path in built.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for tag in ("<script src=", '<link rel="stylesheet"', "<img src="):
            for part in text.split(tag)[1:]:
                assert "://" not in part.split(">")[0], (path, part[:100])
