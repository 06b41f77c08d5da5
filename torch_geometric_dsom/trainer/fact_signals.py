"""What frozen teachers think of a set of facts, told in one pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler, TeacherSignals, log_of
from torch_geometric_dsom.trainer.ensemble import Ensemble


class FactSignals(NamedTuple):
    """What frozen teachers think of a set of facts, computed once.

    Args:
        teachers (TeacherSignals): What the agent sees: signals about the teachers' favourite, ``[F, K]`` each.
        favourite (Tensor): The answer that the available teachers together find most likely, ``[F]``, int64;
            on the host, where groups are looked up.
        gold (Tensor): Log-probability of the gold answer, ``[F, K]``; what rewards are made of.
        best (Tensor): More of the answers that they find likely, ``[F, B]``, int32; none where none were asked for;
            on the host.
    """

    teachers: TeacherSignals
    favourite: Tensor
    gold: Tensor
    best: Tensor

    def part(self, facts: slice) -> FactSignals:
        """The signals of a run of facts, without a copy."""
        teachers = TeacherSignals(*(value[facts] for value in self.teachers))
        return FactSignals(teachers, self.favourite[facts], self.gold[facts], self.best[facts])

    def rows(self, index: Tensor) -> FactSignals:
        """The signals of some facts, given by number."""
        host = index.to(self.favourite.device)
        favourite, best = self.favourite[host], self.best[host]
        index = index.to(self.gold.device, non_blocking=True)
        return FactSignals(self.teachers.rows(index), favourite, self.gold[index], best)


def fact_signals(
    ensemble: Ensemble,
    sampler: QuerySampler,
    index: NeighborIndex,
    temperature: float = 1.0,
    crossfit: bool = False,
    workspace_bytes: int = 1 << 27,
    best: int = 0,
    world: World = ALONE,
) -> FactSignals:
    """Signals of all facts of a sampler, in the order of their numbers: one pass before training.

    Args:
        ensemble (Ensemble): The teachers.
        sampler (QuerySampler): Gives the facts.
        index (NeighborIndex): Neighbours of the queries.
        temperature (float): Temperature of the distributions. (default: :obj:`1.0`)
        crossfit (bool): Whether the sampler's folds say which teachers to ask. (default: :obj:`False`)
        workspace_bytes (int): Memory for soft labels. (default: :obj:`134217728`)
        best (int): How many of the answers that the teachers find likely are kept for each fact. (default: :obj:`0`)
        world (World): The processes that share the sampler's batches; each gets the signals of all facts.
            (default: this one alone)
    """
    parts, order = [], []
    device = ensemble.available.device
    half = max(workspace_bytes // 2, 1)
    most = ensemble.piece_rows(ensemble.slabs, ensemble.num_columns, half)
    for whole in sampler:
        fold = row_folds(sampler, whole) if crossfit else None
        reader = ensemble.reader(whole.head, whole.relation, temperature, fold, "signals", workspace_bytes=half)
        for some, batch in whole.parts(most):
            prob = reader.read(some)
            favourite = ensemble.favourites(prob, batch.head)
            likely = ensemble.likely(prob, batch.head, best).int() if best > 0 else torch.empty(len(favourite), 0).int()
            on_host = favourite.cpu()
            rows = ensemble.groups(index, batch.head, batch.relation, on_host, prob)
            host_row, batch = batch.row, batch.to(device)
            gold = log_of(ensemble.pick(prob, batch.row, batch.target))
            each = torch.arange(batch.head.numel(), device=device)
            signals = ensemble.signals(prob, each, favourite, rows).rows(batch.row)
            order.append(batch.fact)
            parts.append((on_host[host_row], likely.cpu()[host_row], gold, *signals))
    place = world.gather(torch.cat(order)).argsort()
    columns = [world.gather(torch.cat(values)) for values in zip(*parts, strict=True)]
    favourite, likely, gold, *columns = (values[place.to(values.device)] for values in columns)
    return FactSignals(TeacherSignals(*columns), favourite, gold, likely)


def row_folds(sampler: QuerySampler, batch: QueryBatch) -> Tensor:
    """The fold of each row of a batch of a sampler, ``[Q]``."""
    fold = torch.zeros(batch.head.numel(), dtype=torch.long)
    return fold.index_copy_(0, batch.row, sampler.fold[batch.fact])
