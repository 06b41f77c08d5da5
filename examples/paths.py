"""What paths tell of an answer, beside a finished student, and which paths these are.

python examples/paths.py
"""

import argparse

from torch_geometric_dsom.data import split_triples
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ComplEx, PathScorer, strongest_paths
from torch_geometric_dsom.trainer import FitConfig, fit_expert, fit_guides, fit_paths

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--rank", type=int, default=48)
parser.add_argument("--path-epochs", type=int, default=3)
parser.add_argument("--dim", type=int, default=16)
parser.add_argument("--layers", type=int, default=3)
args = parser.parse_args()

data = EmojiWorld()[0]
config = FitConfig(epochs=args.epochs, optimizer="adagrad", lr=0.1, n3=0.05)
student = fit_expert(ComplEx(data.num_nodes, data.num_relations, args.rank, init_scale=1e-3), data, config=config)
paths = fit_paths(PathScorer.from_data(data, dim=args.dim, layers=args.layers), data, epochs=args.path_epochs)
together = fit_guides(student, data, guides=[paths])
for name, scorer in {"student": student, "paths": paths, "together": together}.items():
    print(f"{name}: test MRR {evaluate(scorer, data).mrr:.3f}")

told = 0
for head, relation, tail in split_triples(data, "test").tolist():
    found = strongest_paths(paths, head, relation, tail)
    if not found:  # further away than paths are long
        continue
    print(f"{data.entity_labels[head]}, {data.relation_labels[relation]}, {data.entity_labels[tail]}:")
    for path in found:
        line = data.entity_labels[head]
        for kind, entity in zip(path.relations, path.entities[1:], strict=True):
            name = data.relation_labels[kind % data.num_relations]
            line += f" <-[{name}]- " if kind >= data.num_relations else f" -[{name}]-> "
            line += data.entity_labels[entity]
        print(f"  {line}")
    told += 1
    if told == 3:
        break
