"""Any module with ``score_tails`` as teacher: nearest neighbours, which learn nothing, beside two trained experts.

python examples/own_teacher.py
"""

import argparse

import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import split_triples, with_inverses
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import standardize


class NearestNeighbours(torch.nn.Module):
    """Answers what the entities with the most similar texts answer, but never by the query's own facts."""

    def __init__(self, data, sharpness=20.0, floor=1e-6):
        super().__init__()
        self.sharpness, self.floor = sharpness, floor
        facts = with_inverses(split_triples(data, "train"), data.num_relations)
        self.register_buffer("x", standardize(data.x_text, data.text_mask))
        self.register_buffer("facts", facts[facts[:, 1].argsort()])
        self.bounds = torch.bincount(facts[:, 1], minlength=2 * data.num_relations).cumsum(0).tolist()

    def score_tails(self, head, rel, candidates=None):
        """All that a teacher needs: scores [B, N] of queries with relations in [0, 2R); here logarithms of shares."""
        votes = self.x.new_full((len(head), len(self.x)), self.floor)
        for relation in rel.unique().tolist():
            rows = (rel == relation).nonzero().flatten()
            start = self.bounds[relation - 1] if relation > 0 else 0
            other, _, answer = self.facts[start : self.bounds[relation]].T
            weight = (self.sharpness * (self.x[head[rows]] @ self.x[other].T - 1)).exp()
            votes[rows] = votes[rows].index_add(1, answer, weight * (head[rows, None] != other))
        scores = votes.log()
        return scores if candidates is None else scores[:, candidates]


parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=6, help="epochs of every phase of the trainer")
parser.add_argument("--rank", type=int, default=32)
args = parser.parse_args()

data = EmojiWorld()[0]
del data.x_text, data.text_mask  # no expert of the trainer sees a text
teacher = NearestNeighbours(EmojiWorld()[0])
fits = {"teacher_fit": {"epochs": args.epochs}, "student_fit": {"epochs": args.epochs}}
options = {"seed": 0, "rank": args.rank, "teacher_hidden": 64, **fits}
experts = DSoMTrainer(**options).fit_teachers(data)
for name, one in {"neighbours": teacher, **experts}.items():
    print(f"teacher {name}: test MRR {evaluate(one, data).mrr:.3f}")
for teachers in (experts, {"neighbours": teacher, **experts}):
    trainer = DSoMTrainer(**options, teachers=teachers).fit(data)
    print(f"student of {', '.join(teachers)}: test MRR {trainer.evaluate(data).mrr:.3f}")
share = trainer.selection(data).total["neighbours"]
print(f"neighbours are chosen for {100 * share:.0f} % of the validation facts")
