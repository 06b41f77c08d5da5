"""Vectors of a student as files for any tool."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.files import whole_file
from torch_geometric_dsom.trainer.checkpoint import NAMES
from torch_geometric_dsom.trainer.student import Student, as_student

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.dsom import DSoMTrainer

WHAT = ("entity", "relation")
INVERSE = "^-1"


def export_embeddings(model: Student | DSoMTrainer, path: str | os.PathLike[str], what: str = "entity") -> list[Path]:
    r"""Writes the vectors of a student; the ending of the path says in which form.

    ================== =================================================================================================
    Ending             What
    ================== =================================================================================================
    ``.npz``           NumPy arrays, without pickle: ``entity`` ``[N, D]``, ``relation`` ``[2R, D']``, inverse ones
                       behind, ``entity_ids``, ``entity_labels`` ``[N]``, ``relation_ids``, ``relation_labels`` ``[R]``
    ``.tsv``           a vector a line, and beside it ``<name>.metadata.tsv`` with ``id`` and ``label`` of each, under a
                       heading: what TensorFlow's embedding projector loads
    ``.txt``, ``.vec`` word2vec's text form: a line with number and width, then a line for each with its id and the
                       values; white space and ``%`` in ids are written as ``%20``, ``%25`` and the like
    ================== =================================================================================================

    Vectors are what the scoring function takes: those of ComplEx have real parts first, then imaginary ones. Values are
    float32, in the texts with as many digits as it takes to read the same number again.

    Args:
        model (Student or DSoMTrainer): A student, or a trainer that is trained.
        path (path): The file.
        what (str): ``"entity"`` or ``"relation"``, whose vectors go into the texts; the ids of inverse relations end in
            ``^-1``. (default: :obj:`"entity"`)

    Returns:
        list[Path]: The files that were written.

    Raises:
        ConfigError: If the ending or :obj:`what` is unknown, or the trainer is not trained.

    Example:
        >>> import tempfile
        >>> from torch_geometric_dsom.nn import TransE
        >>> names = Vocabulary(["Q1", "Q2"], ["the sun", "moon"], ["P1"], ["orbits"])
        >>> student = Student(TransE(num_entities=2, num_relations=1, rank=4), names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = export_embeddings(student, Path(folder, "vectors.tsv"))
        ...     print(files[1].name, files[1].read_text(encoding="utf-8").split())
        vectors.metadata.tsv ['id', 'label', 'Q1', 'the', 'sun', 'Q2', 'moon']
    """
    path = Path(path)
    if what not in WHAT:
        raise ConfigError(f"what: expected one of {list(WHAT)}, got '{what}'")
    if path.suffix not in (".npz", ".tsv", ".txt", ".vec"):
        raise ConfigError(f"path: expected a name that ends in .npz, .tsv, .txt or .vec, got '{path}'")
    student = as_student(model)
    words = student.vocabulary
    tables = {"entity": student.tables.entity_table(), "relation": student.tables.relation_table()}
    vectors = {name: table.detach().cpu().float().numpy() for name, table in tables.items()}
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {**vectors, **{name: np.array(getattr(words, name), dtype=np.str_) for name in NAMES}}
        with whole_file(path) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)
        return [path]
    ids, labels = _names(words, what)
    if path.suffix != ".tsv":
        marks = (re.sub(r"[\s%]", lambda found: quote(found.group()), name) for name in ids)
        lines = (f"{mark} {row}" for mark, row in zip(marks, _rows(vectors[what], " "), strict=True))
        _write(path, lines, heading=f"{len(ids)} {vectors[what].shape[1]}")
        return [path]
    beside = path.with_name(f"{path.stem}.metadata.tsv")
    _write(path, _rows(vectors[what], "\t"))
    _write(beside, (f"{_cell(name)}\t{_cell(label)}" for name, label in zip(ids, labels, strict=True)), "id\tlabel")
    return [path, beside]


def _names(words: Vocabulary, what: str) -> tuple[list[str], list[str]]:
    """Ids and labels of the rows of a table."""
    if what == "entity":
        return list(words.entity_ids), list(words.entity_labels)
    ids, labels = list(words.relation_ids), list(words.relation_labels)
    return ids + [name + INVERSE for name in ids], labels + [label + INVERSE for label in labels]


def _rows(table: np.ndarray[Any, Any], between: str) -> Iterator[str]:
    """Nine digits tell every float32 from its neighbours."""
    form = between.join(["%.9g"] * table.shape[1])
    return (form % tuple(row) for row in table.tolist())


def _cell(text: str) -> str:
    """A text in a table: what would break the line is a space."""
    return re.sub(r"[^\S ]", " ", text)


def _write(path: Path, lines: Iterator[str], heading: str | None = None) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        if heading is not None:
            stream.write(f"{heading}\n")
        stream.writelines(f"{line}\n" for line in lines)
