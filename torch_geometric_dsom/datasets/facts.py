"""Facts by label, from tab- or comma-separated files and RDF triples."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from torch_geometric_dsom.datasets.tables import read_columns, read_text
from torch_geometric_dsom.errors import DataError

FORMATS = ("tsv", "csv", "nt")
_NT = re.compile(r"\s*<([^<>\s]+)>\s+<([^<>\s]+)>\s+(<([^<>\s]+)>|.+?)\s*\.\s*")


def read_facts(path: Path) -> Iterator[tuple[str, str, str]]:
    """Facts by label from a ``.tsv``, ``.csv`` or ``.nt`` file.

    Args:
        path (Path): The file; UTF-8, with or without a byte order mark; blank lines are skipped. A first line that
            reads ``head, relation, tail`` is a header.

    Yields:
        tuple[str, str, str]: Head, relation and tail.

    Raises:
        DataError: If a line is no fact; names file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text('head,relation,tail\\n"Doe, Jane",knows,Bob\\n', encoding="utf-8")
        ...     list(read_facts(Path(folder, "a.csv")))
        [('Doe, Jane', 'knows', 'Bob')]
    """
    if path.suffix == ".nt":
        yield from _read_nt(path)
        return
    if path.suffix == ".csv":
        reader = csv.reader(io.StringIO(read_text(path)), strict=True)
        rows = ((f"{path}:{reader.line_num}", tuple(row)) for row in _csv_rows(reader, path) if row)
    else:
        rows = ((f"{path}", row) for row in read_columns(path, ("head", "relation", "tail")))
    for number, (where, row) in enumerate(rows):
        if len(row) != 3 or not all(value.strip() for value in row):
            raise DataError(f"{where}: expected head, relation and tail, got {list(row)}")
        values = tuple(value.strip() for value in row)
        if number > 0 or values != ("head", "relation", "tail"):
            yield values[0], values[1], values[2]


def _csv_rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{path}: expected comma-separated values ({error})") from error


def _read_nt(path: Path) -> Iterator[tuple[str, str, str]]:
    literals = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _NT.fullmatch(line.removesuffix("\r"))
        if found is None:
            raise DataError(f"{path}:{number}: expected '<head> <relation> <tail> .', got {line[:60]!r}")
        if found[4] is None:
            literals += 1
        else:
            yield found[1], found[2], found[4]
    if literals:
        warnings.warn(f"{path}: {literals} facts with a literal or a blank node are left out", stacklevel=2)
