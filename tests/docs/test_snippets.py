"""Every block of Python in README and docs runs, every command is one that the program understands."""

import functools
import re
import shlex
from pathlib import Path

import pytest
import typer

from torch_geometric_dsom.trainer import DSoMConfig, FitConfig

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
BASH = re.compile(r"^```bash\n(.*?)^```", re.S | re.M)
NEEDS = {"onnx": ("onnxscript",), "pykeen": ("pykeen",), "matplotlib": ("matplotlib",), "optuna": ("optuna",)}


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(form):
    return [pytest.param(path, id=name(path)) for path in PAGES if form.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", blocks(PYTHON))
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """As it stands and in its order, but that a trainer is small where the page does not say how large it is."""
    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    small = {"student_fit": FitConfig(epochs=1, optimizer="adagrad", lr=0.1), "teacher_fit": FitConfig(epochs=1)}
    config = functools.partial(DSoMConfig, rank=8, teacher_hidden=16, **small)
    monkeypatch.setattr("torch_geometric_dsom.trainer.dsom.DSoMConfig", config)
    text, names = page.read_text(encoding="utf-8"), {}
    for found in PYTHON.finditer(text):
        code = found[1]
        for word, modules in NEEDS.items():
            if word in code:
                [pytest.importorskip(module) for module in modules]
        line = text.count("\n", 0, found.start(1))
        exec(compile("\n" * line + code, name(page), "exec"), names)


@pytest.mark.parametrize("page", blocks(BASH))
def test_commands_of_a_page_are_understood(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # nothing of it is run, and nothing is found here
    for block in BASH.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                check(words)


def check(words):
    """That a command exists and takes what it is given."""
    program, *arguments = words
    if words[:3] == ["python", "-m", "torch_geometric_dsom"]:
        program, arguments = "torch-geometric-dsom", words[3:]
    if program == "torch-geometric-dsom":
        parse(arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert set(arguments) <= set(targets), words
    elif program == "pip":
        assert arguments[0] == "install", words
        setup = (ROOT / "setup.py").read_text(encoding="utf-8")
        for extra in re.findall(r"\[([\w,]+)\]", words[-1]):
            assert all(f'"{one}":' in setup for one in extra.split(",")), words
    elif program == "python":
        assert (ROOT / arguments[0]).is_file(), words
        options = [word.split("=")[0] for word in arguments if word.startswith("--")]
        code = (ROOT / arguments[0]).read_text(encoding="utf-8")
        assert all(f'"{option}"' in code for option in options), words
    else:
        assert program in ("cd", "git", "mkdir"), words


def parse(arguments):
    """As the program does it, up to the point where it would start."""
    from torch_geometric_dsom.cli import app

    group = typer.main.get_command(app)
    with group.make_context("torch-geometric-dsom", list(arguments)) as context:
        command, found, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        found.make_context(command, rest, parent=context).close()


@pytest.mark.parametrize(
    "line",
    [
        "torch-geometric-dsom trian",
        "torch-geometric-dsom train --dataste X",
        "torch-geometric-dsom predict --head x",
        "make coffee",
        "pip install -e '.[coffee]'",
        "python examples/nothing.py",
        "python examples/resume.py --coffee 1",
        "curl example.org",
    ],
)
def test_a_wrong_command_would_be_noticed(line):
    with pytest.raises((Exception, SystemExit)):
        check(shlex.split(line))


def test_the_howtos_are_there():
    """What a reader looks for is found by name."""
    wanted = [
        "own_graph",
        "own_encoder",
        "own_teacher",
        "guides",
        "generations",
        "loss_in_pyg",
        "loss_in_pykeen",
        "selector_alone",
        "resume",
    ]
    assert {path.stem for path in (ROOT / "docs" / "howto").glob("*.md")} >= {"index", "search", "share", *wanted}
    for path in (ROOT / "docs" / "howto").glob("*.md"):
        for target in re.findall(r"```\{literalinclude\} (\S+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).is_file(), (path, target)


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
