"""ComplEx with reciprocal relations."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_geometric_dsom.nn.functional import complex_query, n3_penalty
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import EmbeddingScorer


class ComplExInteraction(Interaction):
    r"""The ComplEx scoring function, :math:`\mathrm{Re} \langle h \odot r, t \rangle`, see :class:`ComplEx`.

    Complex vectors are kept as real ones, real parts first, so that all entities are scored by one real product.

    Args:
        rank (int): Number of complex dimensions :math:`d`; tables have :math:`2d` columns.

    Example:
        >>> import torch
        >>> interaction = ComplExInteraction(rank=1)
        >>> query = interaction.query(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))  # (1 + 2i)(3 + 4i)
        >>> interaction.score(query, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([[-5., 10.]])
    """

    name = "complex"

    def __init__(self, rank: int) -> None:
        super().__init__(rank, 2 * rank, 2 * rank)

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The complex product of head and relation."""
        return complex_query(head, relation)

    def inverse(self, relation: Tensor) -> Tensor:
        """The complex conjugates."""
        re, im = relation.chunk(2, dim=-1)
        return torch.cat([re, -im], dim=-1)

    def relation_query(self, head: Tensor, tail: Tensor) -> Tensor:
        r"""The complex product of the tail and the conjugate of the head, :math:`\bar h \odot t`."""
        return complex_query(self.inverse(head), tail)

    def penalty(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """N3 with complex moduli, see :func:`~torch_geometric_dsom.nn.functional.n3_penalty`."""
        return n3_penalty(head, relation, tail)


class ComplEx(EmbeddingScorer):
    r"""The ComplEx scorer of `"Complex Embeddings for Simple Link Prediction" <https://arxiv.org/abs/1606.06357>`_
    with the reciprocal relations of `"Canonical Tensor Decomposition for Knowledge Base Completion"
    <https://arxiv.org/abs/1806.07297>`_.

    .. math::
        z(h, r, t) = \mathrm{Re} \sum_{i=1}^{d} h_i \, r_i \, \bar t_i
                   = \langle q(h, r), t \rangle \quad \text{with} \quad q(h, r) = h \odot r

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
        super().__init__(num_entities, num_relations, ComplExInteraction(rank), dropout, init_scale, generator)
