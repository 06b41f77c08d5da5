"""Command line: train, evaluate, predict, datasets, validate, convert. Whatever it does is a public function too."""

from torch_geometric_dsom.cli import convert, datasets, evaluate, predict, train, validate
from torch_geometric_dsom.cli.app import app, main

for command in (train, evaluate, predict, datasets, validate, convert):
    command.register(app)

__all__ = ["app", "main"]
