"""A small student with teachers, an agent that remembers and everything around it, for the tests of objectives."""

import torch

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, split_triples
from torch_geometric_dsom.loss import (
    NeighborDecoupledKDLoss,
)
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.sampler import (
    QuerySampler,
    SelectionState,
    StaticSampler,
    UnlabelledSampler,
    random_folds,
)
from torch_geometric_dsom.trainer import DistillationObjective
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.lesson import HeldOutLesson, LookaheadLesson, TrainingLesson


class Recorder(StaticSampler):
    """Takes a fixed pattern of sets and remembers what it was given."""

    needs_all_rewards = False

    def sample(self, state, available=None, greedy=False):
        choice = super().sample(state, available)
        pattern = torch.rand(choice.action.shape, generator=torch.Generator().manual_seed(1)) < 0.6
        self.choice = type(choice)(choice.action & pattern, choice.log_prob, state, choice.available)
        return self.choice

    def update(self, choice, reward):
        self.rewarded, self.reward = choice, reward
        return {}


def build(small_graph, kind="head", unlabelled=False, reward="margin", on="train", folds=0, loss=None, **kwargs):
    g = torch.Generator().manual_seed(0)
    student = ComplEx(60, 3, rank=4, init_scale=0.7, generator=g)
    sets = [[ComplEx(60, 3, rank=4, init_scale=0.7, generator=g).freeze() for _ in range(3)] for _ in range(1 + folds)]
    loss = loss or NeighborDecoupledKDLoss(0.7, 1.3, 2.0)
    index = NeighborIndex(small_graph, kind)
    fold = random_folds(240, folds, g) if folds else None
    sampler = QuerySampler(small_graph, batch_size=32, folds=fold)
    state = SelectionState("abc", torch.empty(60, 0), torch.ones(60), 3, 8)
    agent = Recorder(3)
    ensemble = Ensemble(sets[0], torch.rand(60, 3, generator=g) < 0.8, sets[1:])
    facts = fact_signals(ensemble, QuerySampler(small_graph, batch_size=13, folds=fold), index, 2.0, folds > 0)
    validation = QuerySampler(split_triples(small_graph, "val"), 3, batch_size=16, max_facts=1)
    known = KnownAnswers.from_data(small_graph, ("train", "val"))
    lesson = {
        "train": lambda: TrainingLesson(agent, reward, True, known),
        "val": lambda: HeldOutLesson(
            agent, validation, fact_signals(ensemble, validation, index, 2.0), reward, True, known
        ),
        "lookahead": lambda: LookaheadLesson(agent, validation, True),
    }[on]()
    free = UnlabelledSampler(small_graph) if unlabelled else None
    kwargs |= {"lesson": lesson, "unlabelled": free, "warmup": 4}
    objective = DistillationObjective(student, ensemble, sampler, facts, agent, state, index, loss, **kwargs)
    return objective, agent, next(iter(sampler))


def generator():
    return torch.Generator().manual_seed(3)


def teacher_logits(ensemble, head, relation, teachers=None):
    return torch.stack([teacher.score_tails(head, relation) for teacher in teachers or ensemble.teachers])


def probabilities(objective, head, relation):
    """Softened probabilities of teachers ``[M, K, N]`` and student ``[M, N]``."""
    theirs = (teacher_logits(objective.ensemble, head, relation) / 2.0).softmax(-1).transpose(0, 1)
    return theirs, (objective.model.score_tails(head, relation) / 2.0).softmax(-1).detach()
