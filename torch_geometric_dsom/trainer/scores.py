"""What a model says of queries, some of them at a time, and the way back for the gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.evaluation import TailScorer, device_of
from torch_geometric_dsom.loss import with_gradient
from torch_geometric_dsom.nn import Scorer, ShardedScorer, Workspace, gathering, product
from torch_geometric_dsom.nn import rows as taken
from torch_geometric_dsom.sampler import ALL, Candidates

Rows = slice | None


class Scores:
    """Logits of a model for some queries, and the gradient that comes back.

    Where the logits are the product of queries and entity table, they are computed for the rows that are asked for and
    never exist all at once; the gradient is carried to queries and table as it comes. Other models are scored at once.

    Args:
        model (Scorer or TailScorer): The model.
        head (Tensor): Query entities, ``[Q]``, int64, on any device.
        relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
        memory (Workspace): Where logits are computed.
        dtype (torch.dtype, optional): In which products with the entity table are computed; that of the model if
            :obj:`None`.
        candidates (Candidates): The entities that queries are scored against. (default: all of them)
        around (tuple[int, int]): How many queries of the same batch other processes have before and after these.
            (default: :obj:`(0, 0)`)

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import DistMult, Workspace
        >>> model = DistMult(num_entities=4, num_relations=1, rank=2)
        >>> scores = Scores(model, torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), Workspace())
        >>> for rows in (slice(0, 2), slice(2, 3)):  # the sum of squares
        ...     scores.learn(2 * scores.values(rows), rows)
        >>> scores.carry(torch.tensor(0.0)).backward()
        >>> model.entity.grad.shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        model: TailScorer,
        head: Tensor,
        relation: Tensor,
        memory: Workspace,
        dtype: torch.dtype | None = None,
        candidates: Candidates = ALL,
        around: tuple[int, int] = (0, 0),
    ) -> None:
        self.memory = memory
        self.dtype = dtype
        self.table: Tensor | None = None
        self.known: Tensor | None = None  # of which entities the table is, where it is not of all
        self.answers: Tensor | None = None  # those rows of the table that are candidates
        entity, device = candidates.entity, device_of(model)
        if device is not None:
            head, relation = head.to(device, non_blocking=True), relation.to(device, non_blocking=True)
        self.logits: Tensor | None = None  # with their graph
        self._gradients: list[Tensor] = []
        if isinstance(model, Scorer):
            if entity is not None and model.row_by_row:
                self.known = torch.cat([head, entity]).unique()
                table, head, entity = model.entity_rows(self.known), self.place(head), self.place(entity)
            else:
                table = model.entity_table()
            self.table = gathering(table) if _takes_rows(model) else table
            self.query = model.query(head, relation, self.table, around)
            self.answers = self.table if entity is None else taken(self.table, entity)
            if not model.interaction.is_product:
                self.logits = model.score(self.query, self.answers)
        else:
            given = () if entity is None else (entity,)
            self.logits = model.score_tails(head, relation, *given)
            self.query = self.logits.new_empty(head.numel(), 0)

    def place(self, entity: Tensor) -> Tensor:
        """Where query entities and candidates stand in :attr:`table`."""
        return entity if self.known is None else torch.searchsorted(self.known, entity)

    @property
    def num_entities(self) -> int:
        """Number of entities that are scored."""
        return (self.answers if self.logits is None else self.logits.T).size(0)  # type: ignore[union-attr]

    def values(self, rows: Rows = None, use: str = "facts") -> Tensor:
        """Logits without a graph, ``[rows, N]``; memory that the next call uses again, and that may be overwritten.

        Args:
            rows (slice, optional): Which queries; all if :obj:`None`.
            use (str): Name of the memory. (default: :obj:`"facts"`)
        """
        rows = slice(None) if rows is None else rows
        query = self.query[rows].detach()
        like = query if self.logits is None else self.logits
        out = self.memory.room(f"{use}/values", (query.size(0), self.num_entities), like)
        if self.logits is not None:
            return out.copy_(self.logits[rows].detach())
        assert self.answers is not None
        return product(query, self.answers.detach().T, self.dtype, out=out)

    @torch.no_grad()
    def learn(self, gradient: Tensor, rows: Rows = None) -> None:
        """Takes a gradient with respect to logits; those of all calls add up.

        Args:
            gradient (Tensor): ``[rows, N]``; its memory may be used again.
            rows (slice, optional): Of which queries; all if :obj:`None`.
        """
        rows = slice(None) if rows is None else rows
        if self.logits is not None:
            if not self._gradients:
                self._gradients = [torch.zeros_like(self.logits)]
            self._gradients[0][rows] += gradient
            return
        assert self.answers is not None
        query, table = self.query.detach(), self.answers.detach()
        first = not self._gradients
        if first:
            self._gradients = [torch.zeros_like(query), torch.empty_like(table)]
        to_query, to_table = self._gradients
        to_query[rows] += product(gradient, table, self.dtype)
        if first:
            product(gradient.T, query[rows], self.dtype, out=to_table)
        elif self.dtype is None:
            to_table.addmm_(gradient.T, query[rows])
        else:
            to_table += product(gradient.T, query[rows], self.dtype)

    def carry(self, value: Tensor) -> Tensor:
        """A value whose gradient is what was taken since the last call, differentiable.

        Args:
            value (Tensor): A scalar.
        """
        gradients, self._gradients = self._gradients, []
        tensors = [self.logits] if self.logits is not None else [self.query, self.answers]
        pairs = [(x, g) for x, g in zip(tensors, gradients, strict=True) if x is not None and x.requires_grad]
        return with_gradient(value, pairs)


def _takes_rows(model: Scorer) -> bool:
    """Whether nothing is known to be made of the entity table but some of its rows, and the product with it."""
    queries = Scorer.query, ShardedScorer.query
    return model.interaction.is_product and type(model).query in queries and type(model).penalty is Scorer.penalty
