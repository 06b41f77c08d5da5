"""PyKEEN's own training with distillation added."""

from __future__ import annotations

from typing import Any

import torch
from pykeen.training import LCWATrainingLoop
from torch import Tensor, nn

from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.loss import NeighborDecoupledKDLoss


class DistilledLCWATrainingLoop(LCWATrainingLoop):
    r"""``LCWATrainingLoop`` of PyKEEN with a teacher: its loss plus :math:`\gamma` times a distillation loss.

    The student's scores of the batch are computed once and serve both. Everything else, such as optimisers, callbacks
    and stoppers, is PyKEEN's.

    Args:
        teacher (object): With ``score_tails(head, rel) -> [B, N]``, relations in :math:`[0, 2R)`; frozen by the caller.
        groups (NeighborIndex, optional): Neighbours of the queries, of a kind that needs no target: ``"head"`` or
            ``"answers"``, or ``"topk"`` of the teacher. Without it :obj:`kd_loss` must do without groups.
        gamma (float): Weight :math:`\gamma` of the distillation. (default: :obj:`1.0`)
        kd_loss (nn.Module, optional): Any loss of :mod:`torch_geometric_dsom.loss`;
            :class:`~torch_geometric_dsom.loss.NeighborDecoupledKDLoss` if :obj:`None`.
        **kwargs: Arguments of ``LCWATrainingLoop``.

    Raises:
        ConfigError: If something else than tails is predicted, the groups need targets, or the weight is negative.

    Example:
        >>> import torch
        >>> from pykeen.models import DistMult
        >>> from torch_geometric.data import Data
        >>> from torch_geometric_dsom.adapters import PyKEENScorer, to_triples_factory
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=3)
        >>> data.num_relations = 1
        >>> triples = to_triples_factory(data, create_inverse_triples=True)
        >>> student, teacher = (DistMult(triples_factory=triples, embedding_dim=4) for _ in range(2))
        >>> loop = DistilledLCWATrainingLoop(
        ...     teacher=PyKEENScorer(teacher).eval(), groups=NeighborIndex(data), model=student, triples_factory=triples
        ... )
        >>> losses = loop.train(triples, num_epochs=2, use_tqdm=False)
        >>> len(losses)
        2
    """

    def __init__(
        self,
        *,
        teacher: TailScorer,
        groups: NeighborIndex | None = None,
        gamma: float = 1.0,
        kd_loss: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.target != 2:
            raise ConfigError(f"target: expected tails, which teachers score, got column {self.target}")
        if groups is not None and not groups.per_query:
            raise ConfigError(f"groups: expected a kind that needs no target, such as 'head', got '{groups.kind}'")
        if not gamma >= 0:
            raise ConfigError(f"gamma: expected zero or a positive number, got {gamma}")
        if groups is None and (kd_loss is None or isinstance(kd_loss, NeighborDecoupledKDLoss)):
            raise ConfigError("groups: expected a NeighborIndex for the decoupled loss, got None")
        self.teacher = teacher
        self.groups = groups
        self.gamma = gamma
        self.kd_loss = NeighborDecoupledKDLoss() if kd_loss is None else kd_loss

    def _process_batch(
        self, batch: Any, start: int, stop: int, label_smoothing: float = 0.0, slice_size: int | None = None
    ) -> Tensor:
        device = self.model.device
        pairs = batch["pairs"][start:stop].to(device)
        labels = batch["target"][start:stop].to(device)
        weights = batch.get("weights")
        weights = None if weights is None else weights[start:stop].to(device)
        scores = self.score_method(pairs, slice_size=slice_size, mode=self.mode)
        own: Tensor = self.loss.process_lcwa_scores(
            predictions=scores,
            labels=labels,
            label_smoothing=label_smoothing,
            num_entities=self.num_targets,
            weights=weights,
        )
        own = own + self.model.collect_regularization_term()
        return own if self.gamma == 0 else own + self.gamma * self.distillation(pairs, scores)

    def distillation(self, pairs: Tensor, scores: Tensor) -> Tensor:
        """The distillation loss of pairs ``[B, 2]``, with PyKEEN's relations, and of their scores ``[B, N]``."""
        head, relation = pairs.unbind(dim=-1)
        if self.model.use_inverse_triples:  # PyKEEN numbers them in turns
            relation = relation // 2 + self.model.num_real_relations * (relation % 2)
        with torch.no_grad():
            label = self.teacher.score_tails(head, relation)
        rows = None if self.groups is None else self.groups.rows(head, relation, scores=label)
        loss: Tensor = self.kd_loss(scores, label, rows)
        return loss
