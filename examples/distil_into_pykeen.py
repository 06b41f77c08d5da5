"""A model of PyKEEN in PyKEEN's own training, alone and with the decoupled loss from a text teacher."""

import argparse

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
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--rank", type=int, default=100)
args = parser.parse_args()
data = EmojiWorld()[0]
teacher = fit_expert(ModalityTeacher.from_data(data, ["text"], rank=args.rank, dropout=0.5), data, epochs=args.epochs)
print(f"teacher: test MRR {evaluate(teacher, data).mrr:.4f}")

triples = to_triples_factory(data, create_inverse_triples=True)
for gamma in (0.0, 1.0):
    model = ComplEx(triples_factory=triples, embedding_dim=args.rank, loss=CrossEntropyLoss(), random_seed=0)
    loop = DistilledLCWATrainingLoop(
        teacher=teacher,
        groups=NeighborIndex(data, kind="head"),
        gamma=gamma,
        model=model,
        triples_factory=triples,
        optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
    )
    loop.train(triples, num_epochs=args.epochs, batch_size=256, use_tqdm=False)
    print(f"PyKEEN ComplEx, gamma {gamma}: test MRR {evaluate(PyKEENScorer(model), data).mrr:.4f}")
