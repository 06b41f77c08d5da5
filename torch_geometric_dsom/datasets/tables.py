"""Readers of tab-separated files; whatever is wrong is told with file and line, what came and what was expected."""

from __future__ import annotations

import difflib
import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torch_geometric_dsom.errors import DataError

TRIPLE = ("head", "relation", "tail")
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")


def read_columns(path: str | os.PathLike[str], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Reads a tab-separated UTF-8 file; a byte order mark, CRLF line ends and blank lines are tolerated.

    Args:
        path (str or Path): The file.
        names (Sequence[str]): Names of the columns; each line must have exactly that many.

    Returns:
        list[tuple[str, ...]]: The lines, each as its columns.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or a line has another number of columns.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "kinds.tsv").write_text("ada\\tperson\\n\\nzurich\\tcity\\n", encoding="utf-8")
        ...     read_columns(Path(folder, "kinds.tsv"), ["entity", "kind"])
        [('ada', 'person'), ('zurich', 'city')]
    """
    return [row for _, row in _rows(path, read_text(path), names)]


def read_triples(
    path: str | os.PathLike[str],
    num_entities: int,
    num_relations: int,
    *,
    entities: Mapping[str, int] | None = None,
    relations: Mapping[str, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Reads facts, a line each: head, relation, tail, parted by tabs.

    Args:
        path (str or Path): The file.
        num_entities (int): Number of entities; ids lie in ``[0, num_entities)``.
        num_relations (int): Number of relations; ids lie in ``[0, num_relations)``.
        entities (Mapping[str, int], optional): If given, heads and tails are labels, looked up here.
            (default: :obj:`None`, integer ids)
        relations (Mapping[str, int], optional): If given, relations are labels, looked up here.
            (default: :obj:`None`, integer ids)

    Returns:
        tuple[Tensor, Tensor]: ``edge_index [2, E]`` (head, tail) and ``edge_type [E]``, both int64, in file order.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or a line has another number of columns, a value that is
            not an integer, an id out of range or an unknown label.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "train.tsv").write_text("0\\t0\\t1\\n2\\t1\\t0\\n", encoding="utf-8")
        ...     edge_index, edge_type = read_triples(Path(folder, "train.tsv"), num_entities=3, num_relations=2)
        >>> edge_index.tolist(), edge_type.tolist()
        ([[0, 2], [1, 0]], [0, 1])
    """
    text = read_text(path)
    limits = np.array([num_entities, num_relations, num_entities])
    ids = _parse_integers(text) if entities is None and relations is None else None
    if ids is None or ((ids < 0) | (ids >= limits)).any():
        columns = (
            ("entity", num_entities, entities),
            ("relation", num_relations, relations),
            ("entity", num_entities, entities),
        )
        rows = [
            [
                _id(value, f"{path}:{line}", *column)  # the meaning; the vectorised way above is only faster
                for value, column in zip(row, columns, strict=True)
            ]
            for line, row in _rows(path, text, TRIPLE)
        ]
        ids = np.array(rows, dtype=np.int64).reshape(-1, 3)
    triples = torch.from_numpy(ids)
    return triples[:, [0, 2]].t().contiguous(), triples[:, 1].contiguous()


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, without its byte order mark; what cannot be read is told with file and line."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: expected a file, found none") from None
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got '{error.strerror}'") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: expected UTF-8, got the byte 0x{content[error.start]:02x}") from None


def _rows(path: str | os.PathLike[str], text: str, names: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: labels may hold U+2028 and the like
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        row = tuple(line.split("\t"))
        if len(row) != len(names):
            raise DataError(
                f"{path}:{number}: expected {len(names)} tab-separated columns ({', '.join(names)}), "
                f"got {len(row)} in {_short(line)}"
            )
        rows.append((number, row))
    return rows


def _parse_integers(text: str) -> np.ndarray[tuple[int, int], np.dtype[np.int64]] | None:
    """All lines at once, ``[E, 3]``; None where anything is odd, so that the slow way can name the line."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            ids = np.loadtxt(io.StringIO(text), dtype=np.int64, delimiter="\t", comments=None, ndmin=2)
        except (ValueError, OverflowError, Warning):
            return None
    return ids if ids.shape[1] == len(TRIPLE) else None


def _id(value: str, where: str, what: str, limit: int, labels: Mapping[str, int] | None) -> int:
    if labels is not None:
        if value not in labels:
            close = difflib.get_close_matches(value, labels, n=1)
            hint = f"; did you mean {_short(close[0])}?" if close else ""
            raise DataError(f"{where}: unknown {what} {_short(value)}, expected one of {len(labels)} labels{hint}")
        row = labels[value]
    elif _INTEGER.fullmatch(value):
        row = int(value)
    else:
        raise DataError(f"{where}: expected an integer as {what}, got {_short(value)}")
    if not 0 <= row < limit:
        raise DataError(f"{where}: expected {what} in [0, {limit}), got {row}")
    return row


def _short(value: str, length: int = 60) -> str:
    return repr(value if len(value) <= length else value[: length - 3] + "...")
