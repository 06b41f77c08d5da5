"""A run that is interrupted in the middle goes on where it was, and ends with the same bits.

python examples/resume.py
"""

import argparse
import os
import signal
import tempfile

import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=8, help="epochs of every phase")
args = parser.parse_args()

data = FakeMMKG(num_entities=120, num_relations=2, num_kinds=12, num_facts=300)[0]
fits = {"teacher_fit": {"epochs": args.epochs}, "student_fit": {"epochs": args.epochs}}


def trainer():
    return DSoMTrainer(seed=0, rank=16, teacher_hidden=32, progress=False, **fits)


def press_ctrl_c(record):
    """What a user does, or a machine that is taken away: a signal in the middle of the student's training."""
    if record["phase"] == "student" and record["epoch"] == args.epochs // 2:
        os.kill(os.getpid(), signal.SIGINT)


with tempfile.TemporaryDirectory() as folder:
    try:
        trainer().fit(data, checkpoint_dir=folder, on_epoch=press_ctrl_c)
    except KeyboardInterrupt as stopped:
        print(f"interrupted, {stopped}".replace(folder, "<folder>"))
    resumed = trainer().fit(data, checkpoint_dir=folder, resume=True)  # teachers are not trained again

whole = trainer().fit(data)
print(f"resumed: test MRR {resumed.evaluate(data).mrr:.4f}; never interrupted: {whole.evaluate(data).mrr:.4f}")
print(f"same bits: {torch.equal(resumed.student.entity, whole.student.entity)}")
