"""The same program on one process and on several; the first one alone prints and writes.

python examples/distributed.py
torchrun --standalone --nproc-per-node 2 examples/distributed.py
torchrun --standalone --nproc-per-node 2 examples/distributed.py --distributed entity --checkpoint-dir runs/shared
"""

import argparse

import torch.distributed as dist

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=6, help="epochs of every phase")
parser.add_argument("--distributed", default="auto", choices=["auto", "none", "data", "entity"])
parser.add_argument("--checkpoint-dir", help="a folder that every process sees; the run goes on where it was")
parser.add_argument("--save", help="a folder for the trained models")
args = parser.parse_args()

data = FakeMMKG(num_entities=300, num_relations=4, num_kinds=20, num_facts=500)[0]  # alike in every process
fits = {"teacher_fit": {"epochs": args.epochs}, "student_fit": {"epochs": args.epochs}}
trainer = DSoMTrainer(seed=0, rank=16, teacher_hidden=32, distributed=args.distributed, progress=False, **fits)
trainer.fit(data, checkpoint_dir=args.checkpoint_dir, resume=True)
result = trainer.evaluate(data)  # all processes have to ask, for each does a part
if args.save:
    trainer.save(args.save)
if trainer.world.is_first:
    print(f"{trainer.world.size} process(es), shared by {trainer.team.by if trainer.world.size > 1 else 'nothing'}")
    print(f"loss {trainer.history[-1]['loss']:.4f}, test MRR {result.mrr:.4f} of {result.count} queries")
if dist.is_initialized():
    dist.destroy_process_group()
