"""A trained student on its way to others: a directory to load, vectors for any tool, a program without this package.

python examples/share_student.py --out shared
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from torch_geometric_dsom import DSoMTrainer, Student
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.trainer import export_embeddings, export_scoring

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2, help="epochs of every phase; a student worth sharing takes 24")
parser.add_argument("--rank", type=int, default=32)
parser.add_argument("--out", type=Path, help="where to write; a temporary folder if not given")
args = parser.parse_args()

data = EmojiWorld()[0]
fits = {"teacher_fit": {"epochs": args.epochs}, "student_fit": {"epochs": args.epochs}}
student = DSoMTrainer(seed=0, rank=args.rank, teacher_hidden=64, **fits).fit(data).export_student()

with tempfile.TemporaryDirectory() as temporary:
    out = args.out if args.out is not None else Path(temporary)
    student.save(out / "student")
    files = [
        *export_embeddings(student, out / "vectors.npz"),
        *export_embeddings(student, out / "vectors.tsv"),
        *export_embeddings(student, out / "vectors.txt"),
        export_scoring(student, out / "student.pt2"),
    ]
    for path in [*sorted((out / "student").iterdir()), *files]:
        print(f"{path.relative_to(out)}: {path.stat().st_size / 1000:.0f} kB")

    # 1. With this package: no graph, no picture, no text.
    shared = Student.load(out / "student")
    best = shared.predict(head="territory:CH", relation="official_language", k=1)[0]
    print(f"Student.load: {best.label}")

    # 2. With torch alone.
    head, relation = shared.vocabulary.entity("territory:CH"), shared.vocabulary.relation("official_language")
    program = torch.export.load(out / "student.pt2").module()
    scores = program(torch.tensor([head]), torch.tensor([relation]))
    print(f"torch.export: {shared.vocabulary.entity_labels[int(scores.argmax())]}")

    # 3. With NumPy alone: ComplEx is the real part of <h, r, conj(t)>, real parts come first.
    with np.load(out / "vectors.npz") as file:
        entities, relations = (np.split(file[name], 2, axis=1) for name in ("entity", "relation"))
        labels = file["entity_labels"]
    t = entities[0] + 1j * entities[1]
    r = relations[0][relation] + 1j * relations[1][relation]
    print(f"NumPy: {labels[(t[head] * r * t.conj()).sum(axis=1).real.argmax()]}")
