"""A model of PyKEEN in PyKEEN's own training, alone and with the decoupled loss from a text teacher."""

import argparse
import functools

import torch
from pykeen.losses import CrossEntropyLoss
from pykeen.models import ComplEx

from torch_geometric_dsom.adapters import DistilledLCWATrainingLoop, PyKEENScorer, to_triples_factory
from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ModalityTeacher
from torch_geometric_dsom.trainer import fit_expert

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--rank", type=int, default=100)
args = parser.parse_args()
data = EmojiWorld()[0]
teacher = ModalityTeacher.from_data(data, ["text"], rank=args.rank, dropout=0.5)
teacher = fit_expert(teacher, data, epochs=2 * args.epochs)
print(f"teacher: test MRR {evaluate(teacher, data).mrr:.4f}")

triples, neighbors = to_triples_factory(data, create_inverse_triples=True), NeighborIndex(data, kind="head")
small = functools.partial(torch.nn.init.normal_, std=1e-2)
tables = {"embedding_dim": args.rank, "entity_initializer": small, "relation_initializer": small}
for gamma in (0.0, 1.0):
    model = ComplEx(triples_factory=triples, loss=CrossEntropyLoss(), random_seed=0, **tables)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    distil = {"teacher": teacher, "groups": neighbors, "gamma": gamma}
    loop = DistilledLCWATrainingLoop(**distil, model=model, triples_factory=triples, optimizer=adam)
    loop.train(triples, num_epochs=args.epochs, batch_size=256, use_tqdm=False)
    print(f"PyKEEN ComplEx, gamma {gamma}: test MRR {evaluate(PyKEENScorer(model), data).mrr:.4f}")
