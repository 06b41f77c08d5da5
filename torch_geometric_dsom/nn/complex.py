"""ComplEx with reciprocal relations: a query tower times an entity table."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.functional import complex_query, n3_penalty


class ComplExScorer(nn.Module, ABC):
    r"""What every ComplEx scorer shares: a relation table, and all that follows from an entity table.

    Subclasses build their parameters, call :meth:`reset_parameters` and give :meth:`entity_table`.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of complex dimensions :math:`d`.
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
        init_scale (float): Standard deviation of the initial tables.
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Raises:
        ConfigError: If a size is below one or ``dropout`` is out of range.
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        rank: int,
        dropout: float,
        init_scale: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        for name, value in (("num_entities", num_entities), ("num_relations", num_relations), ("rank", rank)):
            if value < 1:
                raise ConfigError(f"{name}: expected a positive number, got {value}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout: expected a share in [0, 1), got {dropout}")
        self.num_entities = num_entities
        self.num_relations = num_relations
        self.rank = rank
        self.dropout = dropout
        self.init_scale = init_scale
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)
        self.relation = nn.Parameter(torch.empty(2 * num_relations, 2 * rank))

    @abstractmethod
    def entity_table(self) -> Tensor:
        """The entity vectors, ``[N, 2d]``."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws all parameters anew."""

    def drop(self, x: Tensor) -> Tensor:
        """Dropout from the model's own generator; nothing in evaluation mode."""
        if not self.training or self.dropout == 0.0:
            return x
        keep = torch.rand(x.shape, generator=self.generator, device=self.generator.device) >= self.dropout
        return x * keep.to(x) / (1.0 - self.dropout)

    def query(self, head: Tensor, rel: Tensor, table: Tensor | None = None) -> Tensor:
        r"""The query vectors :math:`q(h, r)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            table (Tensor, optional): :meth:`entity_table`, where the caller has it already.

        Returns:
            Tensor: ``[B, 2d]``.
        """
        table = self.entity_table() if table is None else table
        return self.drop(complex_query(self.drop(table[head]), self.relation[rel]))

    def score_tails(self, head: Tensor, rel: Tensor, candidates: Tensor | None = None) -> Tensor:
        r"""Scores of candidate answers to :math:`(h, r, ?)`.

        Args:
            head (Tensor): Query entities, ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            candidates (Tensor, optional): Entities to score, ``[C]``, int64; all of them if :obj:`None`.

        Returns:
            Tensor: ``[B, N]`` or ``[B, C]``.
        """
        table = self.entity_table()
        return self.query(head, rel, table) @ (table if candidates is None else table[candidates]).T

    def penalty(self, head: Tensor, rel: Tensor, tail: Tensor, table: Tensor | None = None) -> Tensor:
        """N3 penalty of the given facts, see :func:`~torch_geometric_dsom.nn.functional.n3_penalty`.

        Args:
            head (Tensor): ``[B]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[B]``, int64.
            tail (Tensor): ``[B]``, int64.
            table (Tensor, optional): :meth:`entity_table`, where the caller has it already.

        Returns:
            Tensor: A scalar.
        """
        table = self.entity_table() if table is None else table
        return n3_penalty(table[head], self.relation[rel], table[tail])

    def forward(self, head: Tensor, rel: Tensor, tail: Tensor) -> Tensor:
        """Scores of whole facts, ``[B]``, relations in :math:`[0, 2R)`."""
        table = self.entity_table()
        return (self.query(head, rel, table) * table[tail]).sum(dim=-1)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"num_entities={self.num_entities}, num_relations={self.num_relations}, rank={self.rank}"

    @torch.no_grad()
    def freeze(self) -> ComplEx:
        """The same scorer as a plain, frozen :class:`ComplEx` in evaluation mode, without gradients."""
        was_training = self.training
        table = self.eval().entity_table()
        self.train(was_training)
        frozen = ComplEx(self.num_entities, self.num_relations, self.rank, generator=torch.Generator())
        frozen.load_state_dict({"entity": table, "relation": self.relation})
        return frozen.to(table.device).eval().requires_grad_(False)


class ComplEx(ComplExScorer):
    r"""The ComplEx scorer of `"Complex Embeddings for Simple Link Prediction" <https://arxiv.org/abs/1606.06357>`_
    with the reciprocal relations of `"Canonical Tensor Decomposition for Knowledge Base Completion"
    <https://arxiv.org/abs/1806.07297>`_.

    .. math::
        z(h, r, t) = \mathrm{Re} \sum_{i=1}^{d} h_i \, r_i \, \bar t_i
                   = \langle q(h, r), t \rangle \quad \text{with} \quad q(h, r) = h \odot r

    Complex vectors are kept as real ones, real parts first, so that all entities are scored by one real matrix product.
    A query :math:`(?, r, t)` is asked as :math:`(t, r + R, ?)`: relations run over :math:`[0, 2R)`.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of complex dimensions :math:`d`; tables have :math:`2d` columns. (default: :obj:`200`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial values. (default: :obj:`1e-3`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.

    Raises:
        ConfigError: If a size is below one or ``dropout`` is out of range.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ComplEx
        >>> model = ComplEx(num_entities=5, num_relations=2, rank=4, generator=torch.Generator().manual_seed(0))
        >>> model.score_tails(torch.tensor([0, 1, 2]), torch.tensor([0, 3, 1])).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        rank: int = 200,
        dropout: float = 0.0,
        init_scale: float = 1e-3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(num_entities, num_relations, rank, dropout, init_scale, generator)
        self.entity = nn.Parameter(torch.empty(num_entities, 2 * rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws both tables anew."""
        for table in (self.entity, self.relation):
            nn.init.normal_(table, std=self.init_scale, generator=self.generator)

    def entity_table(self) -> Tensor:
        """The entity vectors, ``[N, 2d]``."""
        return self.entity
