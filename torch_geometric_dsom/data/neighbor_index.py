"""Which entities are the neighbours of a query, from training facts only."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import CSR, GroupRows
from torch_geometric_dsom.errors import ConfigError

KINDS = ("head", "answers", "target", "none", "topk")


class NeighborIndex:
    r"""The neighbour group :math:`\mathcal N` of queries :math:`(h, r)` with target :math:`t`, looked up in batches.

    ============ ==========================================================================================
    ``kind``     :math:`\mathcal N`, with the target but for ``topk``
    ============ ==========================================================================================
    ``head``     entities that share a training fact with the query entity
    ``answers``  known answers of :math:`(h, r)` in training
    ``target``   entities that share a training fact with the target
    ``none``     the target alone, which makes the decoupled loss DKD
    ``topk``     the :math:`k` entities with the best of given scores, such as a teacher's: a control, no neighbours
    ============ ==========================================================================================

    Args:
        data (Data): A graph in the data contract; only ``edge_index`` and ``edge_type`` are read.
        kind (str): One of the kinds above. (default: :obj:`"head"`)
        k (int): Size of the groups of ``"topk"``. (default: :obj:`10`)

    Raises:
        ConfigError: If ``kind`` is unknown or ``k`` below one.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = Data(edge_index=torch.tensor([[0, 0], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=4)
        >>> data.num_relations = 1
        >>> rows = NeighborIndex(data).rows(torch.tensor([0]), torch.tensor([0]), torch.tensor([3]))
        >>> sorted(rows.entity.tolist())
        [1, 2, 3]
    """

    def __init__(self, data: Data, kind: str = "head", k: int = 10) -> None:
        if kind not in KINDS:
            close = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"kind: expected one of {list(KINDS)}, got '{kind}'{hint}")
        if k < 1:
            raise ConfigError(f"k: expected a positive number, got {k}")
        self.kind = kind
        self.k = k
        self.num_nodes = int(data.num_nodes)
        self.num_relations = int(data.num_relations)
        (head, tail), relation = data.edge_index, data.edge_type
        source = (
            torch.cat([self._query(head, relation), self._query(tail, relation + self.num_relations)])
            if kind == "answers"
            else torch.cat([head, tail])
        )
        self._neighbors = CSR(source, torch.cat([tail, head]), self.num_nodes)

    def _query(self, entity: Tensor, relation: Tensor) -> Tensor:
        return entity * (2 * self.num_relations) + relation

    @property
    def per_query(self) -> bool:
        """Whether all training facts of a query have the same group: it holds all their targets already."""
        return self.kind in ("head", "answers", "topk")

    def rows(self, head: Tensor, rel: Tensor, tail: Tensor | None = None, scores: Tensor | None = None) -> GroupRows:
        """The groups of a batch.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            tail (Tensor, optional): Targets, ``[B]``, int64, which join their groups. May be left out where the groups
                are :attr:`per_query`.
            scores (Tensor, optional): Scores of all entities, ``[B, N]``; only ``"topk"`` uses them.

        Returns:
            GroupRows: The groups, the target of each row included where the kind says so.

        Raises:
            ConfigError: If targets or scores are left out where the kind needs them.
        """
        if self.kind == "topk":
            if scores is None or scores.shape != (head.numel(), self.num_nodes):
                came = "None" if scores is None else str(list(scores.shape))
                raise ConfigError(f"scores: expected [{head.numel()}, {self.num_nodes}] for kind 'topk', got {came}")
            return self.best(scores)
        if tail is None:
            if not self.per_query:
                raise ConfigError(f"tail: expected the targets for kind '{self.kind}', got None")
            return GroupRows(
                *self._neighbors.rows(self._query(head, rel) if self.kind == "answers" else head), head.numel()
            )
        each = torch.arange(head.numel(), device=head.device)
        if self.kind == "none":
            return GroupRows(each, tail, head.numel())
        key = tail if self.kind == "target" else head
        row, neighbor = self._neighbors.rows(self._query(head, rel) if self.kind == "answers" else key)
        other = neighbor != tail[row]  # the target of each row is added once, neighbour or not
        return GroupRows(torch.cat([row[other], each]), torch.cat([neighbor[other], tail]), head.numel())

    def best(self, scores: Tensor) -> GroupRows:
        """The :math:`k` columns with the highest scores as groups, ``[B, C]``."""
        best = scores.topk(min(self.k, scores.size(1)), dim=-1, sorted=False).indices
        row = torch.arange(scores.size(0), device=best.device).repeat_interleave(best.size(1))
        return GroupRows(row, best.flatten(), scores.size(0))

    def to(self, device: torch.device | str) -> NeighborIndex:
        """Moves the index to a device, in place."""
        self._neighbors.to(device)
        return self

    def __repr__(self) -> str:
        size = f"k={self.k}" if self.kind == "topk" else f"pairs={self._neighbors.num_values}"
        return f"{type(self).__name__}(kind='{self.kind}', {size})"
