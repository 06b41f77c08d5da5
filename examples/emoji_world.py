"""DSoM on EmojiWorld, from data to predictions.

python examples/emoji_world.py
python examples/emoji_world.py --epochs 2 --rank 16   # a quick look
"""

import argparse

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.trainer import compare

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, help="epochs of every phase at most")
parser.add_argument("--rank", type=int, default=100)
parser.add_argument("--root", help="where the dataset's files are kept")
args = parser.parse_args()

fits = {} if args.epochs is None else {name: {"epochs": args.epochs} for name in ("student_fit", "teacher_fit")}
data = EmojiWorld(args.root)[0]
trainer = DSoMTrainer(seed=0, rank=args.rank, **fits).fit(data)
print(compare(trainer, data))

for head, relation in (("territory:CH", "official_language"), ("emoji:1F600", "in_subgroup")):
    print(f"\n{head}, {relation}:")
    for answer in trainer.predict(data, head=head, relation=relation, k=3, exclude_known=False):
        print(f"  {answer.rank}. {answer.label}  {answer.probability:.3f}{'  (known)' if answer.known else ''}")
