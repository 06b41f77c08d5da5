"""What a batch costs: cross-entropy over all entities, or over some that stand for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of
from torch_geometric_dsom.loss import grouped_cross_entropy_
from torch_geometric_dsom.nn import Scorer, Workspace, rows_within
from torch_geometric_dsom.sampler import ALL, Candidates, CandidateSampler, QueryBatch
from torch_geometric_dsom.trainer.fit import Logs
from torch_geometric_dsom.trainer.fit_config import DTYPES, FitConfig
from torch_geometric_dsom.trainer.scores import Scores


class CrossEntropyObjective:
    r"""1-vs-all cross-entropy with N3 and relation prediction.

    .. math::
        \mathrm{CE} + \lambda \, \mathrm{N3} + \rho \, \mathrm{CE}_r

    The gradient with respect to the logits is made where they are, together with the value; no graph is kept of
    anything of the size of the logits.

    Args:
        model (Scorer or TailScorer): What is trained.
        n3 (float): Weight :math:`\lambda` of the penalty. (default: :obj:`0.0`)
        relation_prediction (float): Weight :math:`\rho` of the cross-entropy of the relations between head and tail,
            see :meth:`~torch_geometric_dsom.nn.Scorer.fact_loss`. (default: :obj:`0.0`)
        dtype (torch.dtype, optional): In which products with the entity table are computed, such as
            ``torch.bfloat16``; that of the model if :obj:`None`.
        workspace_bytes (int): Memory for logits and what is made of them; a batch that needs more is computed in parts.
            (default: :obj:`134217728`)
        candidates (CandidateSampler, optional): Draws the entities that stand for all in the softmax of a batch, its
            query entities and gold answers among them; every entity is in it if :obj:`None`.
        world (World): The processes that share each batch; the value is this one's share of the loss.
            (default: this one alone)

    Raises:
        ConfigError: If a penalty is asked of a model that has none.
    """

    slabs = 2  # tensors [Q, N] at once
    everyone: Candidates = ALL

    def __init__(
        self,
        model: TailScorer,
        n3: float = 0.0,
        dtype: torch.dtype | None = None,
        workspace_bytes: int = FitConfig.workspace_bytes,
        candidates: CandidateSampler | None = None,
        relation_prediction: float = 0.0,
        world: World = ALONE,
    ) -> None:
        for name, weight in (("n3", n3), ("relation_prediction", relation_prediction)):
            if weight > 0 and not isinstance(model, Scorer):
                raise ConfigError(
                    f"{name}: expected 0 for a {type(model).__name__}, which has no such term, got {weight}"
                )
        self.model = model
        self.n3 = n3
        self.relation_prediction = relation_prediction
        self.dtype = dtype
        self.workspace_bytes = workspace_bytes
        self.candidates = candidates
        self.world = world
        self.memory = Workspace()

    @classmethod
    def from_config(
        cls,
        model: TailScorer,
        config: FitConfig,
        candidates: CandidateSampler | None = None,
        world: World = ALONE,
    ) -> CrossEntropyObjective:
        """The objective of a model that is trained on cross-entropy alone, with the weights of a configuration."""
        parts = DTYPES[config.dtype], config.workspace_bytes, candidates, config.relation_prediction, world
        return cls(model, config.n3, *parts)

    def scores(self, batch: QueryBatch, candidates: Candidates = ALL) -> Scores:
        """What the model says of the queries of a batch."""
        around = batch.around.queries
        return Scores(self.model, batch.head, batch.relation, self.memory, self.dtype, candidates, around)

    def parts(self, scores: Scores, batch: QueryBatch) -> Iterator[tuple[slice, QueryBatch]]:
        """A batch in parts for which there is memory."""
        if scores.logits is not None:  # these exist all at once anyway
            return batch.parts(batch.num_queries)
        rows = rows_within(self.workspace_bytes, self.slabs, scores.num_entities)
        return batch.parts(rows, self.world.size)

    def draw(self, *named: Tensor) -> Candidates:
        """Candidates for a batch, those that any process names among them.

        Query entities are to be named as well: drawn by chance alone, an entity would hardly ever be a wrong answer to
        its own queries.
        """
        assert self.candidates is not None
        return self.candidates.sample(self.world.gather(torch.cat(named)))

    def cross_entropy_(
        self, scores: Tensor, row: Tensor, target: Tensor, scale: float, candidates: Candidates
    ) -> Tensor:
        """See :func:`~torch_geometric_dsom.loss.grouped_cross_entropy_`; targets are places among the candidates."""
        return grouped_cross_entropy_(scores, row, target, scale)

    def penalty(self, scores: Scores, batch: QueryBatch) -> Tensor | float:
        """The weighted terms that are about the facts of a batch alone: N3, relation prediction."""
        weights = self.n3, self.relation_prediction
        if not any(weights) or not isinstance(self.model, Scorer) or batch.row.numel() == 0:
            return 0.0
        head, relation = scores.place(batch.head[batch.row]), batch.relation[batch.row]
        target = scores.place(batch.target)
        return batch.weight * self.model.fact_loss(head, relation, target, *weights, table=scores.table)

    def state_dict(self) -> dict[str, Any]:
        """What changes in training beside the model."""
        return {} if self.candidates is None else {"candidates": self.candidates.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        if self.candidates is not None:
            self.candidates.generator.set_state(state["candidates"])

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """The loss of a batch, which may be on another device than the model."""
        device = device_of(self.model) or batch.head.device
        candidates = self.everyone if self.candidates is None else self.draw(batch.head, batch.target).to(device)
        scores = self.scores(batch, candidates)
        loss = scores.query.new_zeros(())
        for rows, part in self.parts(scores, batch):
            part = part.to(device)
            values, target = candidates.weigh_(scores.values(rows)), candidates.place(part.target)
            loss = loss + part.weight * self.cross_entropy_(values, part.row, target, part.weight, candidates)
            scores.learn(values, rows)
        return scores.carry(loss) + self.penalty(scores, batch.to(device)), {}
