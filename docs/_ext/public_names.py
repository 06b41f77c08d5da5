"""``public-names``: the API of a room, every name in its ``__all__``, by autodoc."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

PACKAGE = "torch_geometric_dsom"


class PublicNames(Directive):
    """A table of names with the first line of their docstrings, then all of it.

    What the package itself names is documented there and not once more in its room.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Makes reStructuredText and reads it."""
        room = self.arguments[0]
        module = importlib.import_module(room)
        above = set() if room == PACKAGE else set(importlib.import_module(PACKAGE).__all__)
        names = [name for name in module.__all__ if name not in above]
        lines = ["", ".. list-table::", "   :widths: 35 65", ""]
        for name in names:
            role = "class" if inspect.isclass(getattr(module, name)) else "func"
            role = role if callable(getattr(module, name)) else "data"
            lines += [f"   * - :{role}:`~{room}.{name}`", f"     - {_first(getattr(module, name))}"]
        lines += [""]
        for name in names:
            lines += [*_directive(room, name, getattr(module, name)), ""]
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(StringList(lines, source=f"public names of {room}"), 0, holder)
        return holder.children


def _first(thing: Any) -> str:
    """The first sentence of a docstring; of a plain value, what kind it is."""
    if not callable(thing):
        return f"``{type(thing).__name__}``"
    text = inspect.getdoc(thing) or ""
    return " ".join(text.split("\n\n")[0].split())


def _directive(room: str, name: str, thing: Any) -> list[str]:
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return [f".. autoexception:: {room}.{name}"]
    if inspect.isclass(thing):
        return [f".. autoclass:: {room}.{name}", "   :members:"]
    if callable(thing):
        return [f".. autofunction:: {room}.{name}"]
    value = repr(sorted(thing)) if isinstance(thing, dict) else repr(thing)
    return [f".. py:data:: {room}.{name}", "", f"   ``{value}``"]


def setup(app: Any) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_directive("public-names", PublicNames)
    return {"version": "1", "parallel_read_safe": True}
