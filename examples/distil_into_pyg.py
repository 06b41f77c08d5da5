"""A model of torch_geometric.nn.kge, trained alone and with the decoupled loss from a text teacher."""

import argparse

import torch
from torch_geometric.nn.kge import ComplEx

from torch_geometric_dsom.adapters import PyGScorer
from torch_geometric_dsom.data import NeighborIndex, split_triples, with_inverses
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.loss import neighbor_decoupled_kd_loss
from torch_geometric_dsom.nn import ModalityTeacher
from torch_geometric_dsom.trainer import fit_expert

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--rank", type=int, default=100)
args = parser.parse_args()
data = EmojiWorld()[0]
facts = with_inverses(split_triples(data, "train"), data.num_relations)
neighbors = NeighborIndex(data, kind="head")
teacher = fit_expert(ModalityTeacher.from_data(data, ["text"], rank=args.rank, dropout=0.5), data, epochs=args.epochs)
print(f"teacher: test MRR {evaluate(teacher, data).mrr:.4f}")

for gamma in (0.0, 1.0):
    torch.manual_seed(0)
    model = ComplEx(data.num_nodes, 2 * data.num_relations, args.rank)
    student, optimizer = PyGScorer(model, data.num_relations), torch.optim.Adagrad(model.parameters(), lr=0.1)
    for _ in range(args.epochs):
        for head, rel, tail in (batch.T for batch in facts[torch.randperm(len(facts))].split(512)):
            logits = student.score_tails(head, rel)
            loss = torch.nn.functional.cross_entropy(logits, tail) + 0.05 * student.penalty(head, rel, tail)
            label, groups = teacher.score_tails(head, rel), neighbors.rows(head, rel, tail)
            loss = loss + gamma * neighbor_decoupled_kd_loss(logits, label, groups)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"PyG ComplEx, gamma {gamma}: test MRR {evaluate(student, data).mrr:.4f}")
