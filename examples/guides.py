"""Rules, resembling entities and frequencies beside a finished student: none is trained, and none sees a modality.

python examples/guides.py
"""

import argparse

from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ComplEx, FrequencyScorer, RidgeScorer, RuleScorer
from torch_geometric_dsom.trainer import FitConfig, fit_expert, fit_guides

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--rank", type=int, default=48)
args = parser.parse_args()

data = EmojiWorld()[0]
config = FitConfig(epochs=args.epochs, optimizer="adagrad", lr=0.1, n3=0.05)
student = fit_expert(ComplEx(data.num_nodes, data.num_relations, args.rank, init_scale=1e-3), data, config=config)
rules = RuleScorer.from_data(data)
guides = {
    "rules": rules,
    "resembling entities": RidgeScorer.from_data(data, kinds=[]),
    "frequencies": FrequencyScorer.from_data(data),
}
for name, scorer in {"student": student, **guides, "all together": fit_guides(student, data)}.items():
    print(f"{name}: test MRR {evaluate(scorer, data).mrr:.3f}")

relation = data.relation_labels.index("has keyword")
for rule in rules.rules(relation, most=3):
    path = " / ".join(
        data.relation_labels[r % data.num_relations] + "^-1" * (r >= data.num_relations) for r in rule.body
    )
    print(f"{path} => has keyword, {100 * rule.confidence:.0f} %")
