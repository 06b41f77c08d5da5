"""The application: its name, its errors, its exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from torch_geometric_dsom.errors import DSoMError
from torch_geometric_dsom.version import __version__

USER, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 130, 141, 143  # 1, unexpected, is Python's own, with its traceback
EXIT_CODES = (
    "Exit codes: 0 done; 1 unexpected error, with a traceback; 2 wrong input, told in one line on stderr; 130 Ctrl-C, "
    "143 SIGTERM, both with the state of the run kept; 141 the reader of the output went away. Results go to stdout, "
    "everything else to stderr."
)


class Commands(TyperGroup):
    """Commands whose errors become one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()  # a pipe that is closed shows here, not at the interpreter's end
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt as stop:
            print(f"stopped{f': {stop}' if str(stop) else ''}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except (DSoMError, PermissionError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(USER) from None
        return value


app = typer.Typer(
    name="torch-geometric-dsom",
    cls=Commands,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and leaves with its exit code.

    Args:
        arguments (list[str], optional): What follows the name of the program; that of this process if :obj:`None`.
    """
    app(arguments)


def _version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Reinforced multimodal distillation for knowledge graph reasoning."""
