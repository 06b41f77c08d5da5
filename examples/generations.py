"""A further generation: two distilled students teach a third one, of the same size.

python examples/generations.py
"""

import argparse

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.trainer import next_teachers

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--rank", type=int, default=32)
args = parser.parse_args()

data = EmojiWorld()[0]
students = []
for seed in (1, 2):
    trainer = DSoMTrainer(seed, rank=args.rank, teacher_fit={"epochs": args.epochs}, progress=False)
    students.append(trainer.fit(data, epochs=args.epochs))
    print(f"first generation, seed {seed}: test MRR {trainer.evaluate(data).mrr:.3f}")

teachers = next_teachers(students, data)
for name, teacher in teachers.items():
    print(f"both students, {name}: test MRR {evaluate(teacher, data).mrr:.3f}")

trainer = DSoMTrainer(seed=3, rank=args.rank, teachers=teachers, progress=False).fit(data, epochs=args.epochs)
print(f"second generation: test MRR {trainer.evaluate(data).mrr:.3f}")
