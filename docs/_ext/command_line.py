"""``command-line``: every command with its help and options, asked of the program itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from docutils import nodes
from docutils.parsers.rst import Directive

PROGRAM = "torch-geometric-dsom"


class CommandLine(Directive):
    """A section a command."""

    def run(self) -> list[nodes.Node]:
        """Reads the application."""
        from torch_geometric_dsom.cli import app

        group = typer.main.get_command(app)
        found: list[nodes.Node] = _help(group)
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            section = nodes.section(ids=[f"command-{name}"], names=[name])
            section += nodes.title(text=name)
            self.state.document.note_implicit_target(section, section)
            section += _help(command)
            section += _table(command)
            found.append(section)
        return [*found, *_paragraphs(group.epilog)]


def _help(command: Any) -> list[nodes.Node]:
    return _paragraphs(command.help)


def _paragraphs(text: str | None) -> list[nodes.Node]:
    """Paragraphs; those that are commands are shown as such."""
    found: list[nodes.Node] = []
    for part in inspect.cleandoc(text or "").split("\n\n"):
        part = " ".join(part.split())
        lead, colon, rest = part.partition(": ")
        if colon and lead in ("Example", "Examples") and rest.startswith(PROGRAM):
            found.append(nodes.paragraph(text=f"{lead}:"))
            found += [_shell(line) for line in rest.split("; ")]
        elif part.startswith(PROGRAM):
            found.append(_shell(part))
        elif part:
            found.append(nodes.paragraph(text=part))
    return found


def _shell(line: str) -> nodes.Node:
    return nodes.literal_block(line, line, language="bash")


def _table(command: Any) -> nodes.Node:
    """Arguments and options: how they are written, what they mean."""
    context = typer.Context(command, info_name=PROGRAM)
    records = [option.get_help_record(context) for option in command.params if not getattr(option, "hidden", False)]
    group = nodes.tgroup(cols=2)
    group += [nodes.colspec(colwidth=35), nodes.colspec(colwidth=65)]
    body = nodes.tbody()
    for shown, about in filter(None, records):
        row = nodes.row()
        row += nodes.entry("", nodes.paragraph("", "", nodes.literal(text=shown)))
        row += nodes.entry("", nodes.paragraph(text=about))
        body += row
    group += body
    return nodes.table("", group, align="left")


def setup(app: Any) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_directive("command-line", CommandLine)
    return {"version": "1", "parallel_read_safe": True}
