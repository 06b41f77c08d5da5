"""A long run with evaluation and a checkpoint each epoch: memory after the tenth epoch is memory for good."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

WARM, EPOCHS = 10, 200


def soak(epochs: int = EPOCHS) -> dict:
    """Resident memory of this process after each epoch of the student, in bytes.

    Args:
        epochs (int): Epochs of the student.
    """
    import psutil
    import torch

    from torch_geometric_dsom import DSoMTrainer
    from torch_geometric_dsom.datasets import EmojiWorld

    torch.set_num_threads(1)
    process, resident = psutil.Process(), []

    def note(record: dict) -> None:
        if record["phase"] == "student":
            resident.append(process.memory_info().rss)
            if len(resident) % 10 == 0:
                print(f"epoch {len(resident)}: {resident[-1] / 2**20:,.1f} MiB", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        fit = {"evaluate_every": 1, "patience": epochs}
        trainer = DSoMTrainer(
            seed=0, progress=False, rank=4, teacher_hidden=4, student_fit=fit, teacher_fit={"epochs": 1}
        )
        data = EmojiWorld(Path(folder) / "data")[0]
        trainer.fit(data, epochs=epochs, on_epoch=note, checkpoint_dir=Path(folder) / "run")
    return summary(resident)


def summary(resident: list[int]) -> dict:
    """What is told of it: after the tenth epoch, the most after it, and the growth over the second half."""
    rest = resident[WARM - 1 :]
    half = rest[len(rest) // 2 :]
    return {
        "epochs": len(resident),
        "after_tenth": rest[0],
        "largest_after": max(rest),
        "last": rest[-1],
        "growth": max(rest) / rest[0] - 1.0,
        "growth_second_half": half[-1] / half[0] - 1.0,
    }


if __name__ == "__main__":
    print(json.dumps(soak(int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS)))
