"""The decoupled loss in a loop of your own, around a model of torch_geometric.nn.kge.

python examples/distil_into_pyg.py
python examples/distil_into_pyg.py --epochs 1 --rank 8 --hidden 16   # a quick look
"""

import argparse

import torch
from torch_geometric.nn.kge import DistMult

from torch_geometric_dsom.data import NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import neighbor_decoupled_kd_loss
from torch_geometric_dsom.nn import ModalityTeacher
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer import CrossEntropyObjective, FitConfig, fit_scorer

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--rank", type=int, default=100)
parser.add_argument("--hidden", type=int, default=512)
parser.add_argument("--root", help="where the dataset's files are kept")
args = parser.parse_args()

data = EmojiWorld(args.root)[0]
facts = with_inverses(split_triples(data, "train"), data.num_relations)
neighbors = NeighborIndex(data, kind="head")

teacher = ModalityTeacher.from_data(data, ["text"], rank=args.rank, hidden_dim=args.hidden, dropout=0.5)
config = FitConfig(epochs=args.epochs, lr=5e-3)
sampler = QuerySampler(data, batch_size=512, max_facts=1)
fit_scorer(teacher, sampler, CrossEntropyObjective(teacher), config, phase="text teacher")
teacher = teacher.freeze()
print(f"teacher: test MRR {evaluate(teacher, data).mrr:.4f}")


class Scores:
    """All-entity scores of a PyG DistMult that was built with 2R relations."""

    def __init__(self, model: DistMult) -> None:
        self.model = model

    def score_tails(self, head, rel, candidates=None):
        query = self.model.node_emb(head) * self.model.rel_emb(rel)
        return query @ self.model.node_emb.weight.T


for gamma in (0.0, 1.0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DistMult(data.num_nodes, 2 * data.num_relations, args.rank)
    student, generator = Scores(model), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(args.epochs):
        for batch in facts[torch.randperm(len(facts), generator=generator)].split(512):
            head, rel, tail = batch.unbind(dim=-1)
            logits = student.score_tails(head, rel)
            loss = torch.nn.functional.cross_entropy(logits, tail)
            if gamma > 0:  # these two lines are all that distillation adds
                groups = neighbors.rows(head, rel, tail)
                loss = loss + gamma * neighbor_decoupled_kd_loss(logits, teacher.score_tails(head, rel), groups)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"PyG DistMult, gamma {gamma}: test MRR {evaluate(student, data).mrr:.4f}")
