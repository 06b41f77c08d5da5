"""What holds for the package as a whole: imports go one way, every public name is tested, docs are executed."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import torch_geometric_dsom

PACKAGE = Path(torch_geometric_dsom.__file__).parent
TESTS = Path(__file__).parent
ORDER = ["distributed", "encoders", "datasets", "data", "sampler", "nn", "loss", "evaluation"]
ORDER += ["plots", "trackers", "trainer", "report"]
TOP = ["adapters", "cli"]  # no room imports them
MODULES = [m.name for m in pkgutil.walk_packages([str(PACKAGE)], "torch_geometric_dsom.") if "__main__" not in m.name]
ROOMS = [f"torch_geometric_dsom{room}" for room in ("", *(f".{name}" for name in [*ORDER, *TOP]))]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", ORDER)
def test_lower_rooms_never_import_higher_ones(room):
    higher = [*ORDER[ORDER.index(room) + 1 :], *TOP]
    for path in (PACKAGE / room).rglob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            assert not (parts[0] == "torch_geometric_dsom" and len(parts) > 1 and parts[1] in higher), (path, name)


def test_pykeen_is_imported_in_the_adapters_alone():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "adapters":
            assert not any(name.split(".")[0] == "pykeen" for name in imports(path)), path


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_has_a_docstring_and_is_tested(room):
    module = importlib.import_module(room)
    text = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    for name in module.__all__:
        thing = getattr(module, name)
        assert not callable(thing) or thing.__doc__, name
        assert re.search(rf"\b{name}\b", text), f"{room}.{name} is in no test"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DSOM_HOME", str(tmp_path))
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_import_is_light():
    heavy = "print([m for m in ('pykeen', 'sklearn', 'pandas', 'matplotlib') if m in sys.modules])"
    code = f"import sys, torch_geometric_dsom.adapters; {heavy}"
    plain = f"import sys, torch_geometric; {heavy}"
    shown = [
        subprocess.run([sys.executable, "-c", c], capture_output=True, text=True, check=True, timeout=120).stdout
        for c in (code, plain)
    ]
    assert shown[0] == shown[1]  # nothing heavy beyond what PyG itself brings
