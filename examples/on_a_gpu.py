"""Training where there is a GPU: larger batches, no parts, products in TF32, ranks in full float32. Runs on CPU too.

python examples/on_a_gpu.py
"""

import argparse

import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.trainer import available_memory

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=24)
parser.add_argument("--rank", type=int, default=200)
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
room = available_memory(torch.device(device))
fit = {"epochs": args.epochs, "batch_size": 1024, "workspace_bytes": room // 16}
trainer = DSoMTrainer(
    seed=0,
    device=device,
    rank=args.rank,
    student_fit=fit,
    teacher_fit=fit,
    teacher_dtype="auto",  # frozen teachers in bfloat16, where the device has it
    cache_bytes=room // 4,  # of soft labels, beside the models
)
data = EmojiWorld()[0]
torch.set_float32_matmul_precision("high")  # the process's own setting, which the trainer leaves alone on a GPU
trainer.fit(data)
torch.set_float32_matmul_precision("highest")
print(f"{device}: test MRR {trainer.evaluate(data, split='test').mrr:.3f}")
