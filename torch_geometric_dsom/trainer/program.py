"""The scoring of a student as a program that runs without this package."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.files import whole_file
from torch_geometric_dsom.optional import require
from torch_geometric_dsom.trainer.checkpoint import NAMES
from torch_geometric_dsom.trainer.student import Student, as_student

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.dsom import DSoMTrainer

VOCABULARY = "vocabulary"
ONNX_BYTES = (1 << 31) - (1 << 20)  # of one file, which protobuf bounds
OPSET = 18


def export_scoring(model: Student | DSoMTrainer, path: str | os.PathLike[str]) -> Path:
    """Writes the scoring of a student as a program: ``(head [B], relation [B]) -> scores [B, N]``, for any ``B``.

    The ending of the path says which: ``.pt2`` for :func:`torch.export.load`, ``.onnx`` for ONNX Runtime and others.
    Inputs are rows, int64; relations run over ``[0, 2R)``, and ``r + R`` asks for heads. Ids and labels go along as
    JSON: as the file ``vocabulary.json`` inside a ``.pt2``, which ``extra_files`` of :func:`torch.export.load` reads,
    and as the metadata ``vocabulary`` of an ``.onnx``.

    Args:
        model (Student or DSoMTrainer): A student, or a trainer that is trained.
        path (path): The file, ``.pt2`` or ``.onnx``.

    Returns:
        Path: The file.

    Raises:
        ConfigError: If the ending is unknown, the trainer is not trained, or the tables are beyond the 2 GiB of an ONNX
            file.
        ImportError: If ONNX is asked for and the extra ``onnx`` is not installed.

    Example:
        >>> import tempfile
        >>> from torch_geometric_dsom.nn import DistMult
        >>> names = Vocabulary(["Q1", "Q2"], ["sun", "moon"], ["P1"], ["orbits"])
        >>> student = Student(DistMult(num_entities=2, num_relations=1, rank=4), names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     program = torch.export.load(export_scoring(student, Path(folder, "student.pt2"))).module()
        >>> program(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])).shape
        torch.Size([3, 2])
    """
    path = Path(path)
    writers: dict[str, Callable[[Student, Path], None]] = {".pt2": _write_pt2, ".onnx": _write_onnx}
    if path.suffix not in writers:
        raise ConfigError(f"path: expected a name that ends in .pt2 or .onnx, got '{path}'")
    student = as_student(model)
    with whole_file(path) as part:
        writers[path.suffix](student, part)
    return path


def _graph(student: Student) -> torch.export.ExportedProgram:
    """The scoring as a graph of operations on any number of queries; traced with two."""
    rows = torch.zeros(2, dtype=torch.long, device=student.tables.entity.device)
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(student, (rows, rows.clone()), dynamic_shapes=({0: batch}, {0: batch}))


def _write_pt2(student: Student, path: Path) -> None:
    torch.export.save(_graph(student), path, extra_files={f"{VOCABULARY}.json": _json(student.vocabulary)})


def _write_onnx(student: Student, path: Path) -> None:
    for module in ("onnx", "onnxscript"):
        require(module, extra="onnx", user="export_scoring")
    size = sum(value.numel() * value.element_size() for value in student.state_dict().values())
    if size > ONNX_BYTES:
        raise ConfigError(f"path: an ONNX file holds at most 2 GiB, got tables of {size} bytes; write a .pt2 instead")
    program = torch.onnx.export(
        _graph(student),
        dynamo=True,
        input_names=["head", "relation"],
        output_names=["scores"],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props[VOCABULARY] = _json(student.vocabulary)
    program.save(path, external_data=False)


def _json(words: Vocabulary) -> str:
    return json.dumps({name: list(getattr(words, name)) for name in NAMES}, ensure_ascii=False)
