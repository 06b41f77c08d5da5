"""Command line, a module a command. Whatever it does is a public function too."""

from torch_geometric_dsom.cli import convert, datasets, evaluate, explain, guide, predict, report, train, validate
from torch_geometric_dsom.cli.app import app, main

for command in (train, evaluate, predict, explain, guide, report, datasets, validate, convert):
    command.register(app)

__all__ = ["app", "main"]
