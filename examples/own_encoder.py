"""Any function as encoder: pictures or texts in, one row of numbers each out.

The pictures are those of own_graph.py. What is encoded is kept by the encoder's ``repr``: a second run encodes nothing.

python examples/own_encoder.py
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from own_graph import write_folder
from PIL import Image

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import MMKGFolder


@dataclass(frozen=True)
class Thumbnails:
    """Pictures on white, made so small that their pixels are the features; its ``repr`` tells all it depends on."""

    side: int = 12

    def __call__(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """``n`` RGBA pictures to ``[n, 3 * side * side]``."""
        rows = []
        for image in images:
            ground = Image.new("RGBA", image.size, "white")
            ground.alpha_composite(image)
            small = ground.convert("RGB").resize((self.side, self.side), Image.Resampling.BOX)
            rows.append(np.asarray(small, dtype=np.float32).ravel() / 255)
        return torch.from_numpy(np.stack(rows))


def letters(texts: Sequence[str]) -> torch.Tensor:
    """``n`` texts to counts of letters, ``[n, 26]``."""
    return torch.tensor([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=torch.float32)


parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=60)
args = parser.parse_args()

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary, "figures")
    write_folder(folder)
    figures = [path.stem for path in sorted(folder.glob("images/figure*"))]
    lines = [f"{name}\ta figure with the number {name[-2:]}" for name in figures]
    (folder / "texts.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = MMKGFolder(folder, Path(temporary, "kept"), image_encoder=Thumbnails(), text_encoder=letters)[0]
    print(f"x_image {list(data.x_image.shape)}, of {int(data.image_mask.sum())} entities")
    print(f"x_text {list(data.x_text.shape)}, of {int(data.text_mask.sum())} entities")
    trainer = DSoMTrainer(seed=0, teacher_fit={"epochs": args.epochs}, student_fit={"epochs": args.epochs}).fit(data)
    print(f"test MRR {trainer.evaluate(data).mrr:.3f}; chosen of each teacher on validation facts:")
    print({name: round(share, 2) for name, share in trainer.selection(data).total.items()})
