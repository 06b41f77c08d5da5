"""A bare scoring function of PyKEEN over our tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pykeen.nn.modules import Interaction as PyKEENModule
from pykeen.nn.modules import RotatEInteraction, interaction_resolver
from pykeen.utils import get_batchnorm_modules
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import Interaction

CHUNK = 1 << 24  # numbers that a broadcast may hold at once


class PyKEENInteraction(Interaction):
    """An interaction of PyKEEN as ours: for tables of free vectors, or for modality teachers.

    Its representations of an entity, flattened, stand side by side in one row of the entity table, complex ones as
    pairs of real columns; those of a relation likewise. Scores are the interaction's own, in chunks of entities, so
    that an interaction that broadcasts never holds more than a fixed number of values. Relations of RotatE are turned
    into unit complex numbers, which PyKEEN's formula takes for granted.

    Args:
        interaction (str or pykeen.nn.modules.Interaction): The interaction, or its name in PyKEEN.
        dim (int): Size of every dimension of its representations.
        dims (dict[str, int], optional): Other sizes by PyKEEN's symbols, such as ``{"e": 16}`` for the relations of
            TransR.
        **kwargs: Arguments of the interaction, where a name is given.

    Raises:
        ConfigError: If PyKEEN does not know the name, or a size is below one.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import EmbeddingScorer
        >>> model = EmbeddingScorer(5, 2, PyKEENInteraction("TransE", dim=4, p=2))
        >>> model.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    name = "pykeen"

    def __init__(
        self,
        interaction: str | PyKEENModule[Any, Any, Any],
        dim: int,
        dims: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(interaction, str):
            # Building one draws its parameters from torch's global generator.
            try:
                with torch.random.fork_rng():
                    interaction = interaction_resolver.make(interaction, kwargs)
            except KeyError as error:
                known = sorted(interaction_resolver.lookup_dict)
                raise ConfigError(f"interaction: expected one of PyKEEN's {known}, got '{interaction}'") from error
        elif kwargs:
            raise ConfigError(f"kwargs: expected none beside an interaction that is made already, got {sorted(kwargs)}")
        sizes = {symbol: (dims or {}).get(symbol, dim) for symbol in "".join(sorted(interaction.dimensions))}
        for symbol, size in sizes.items():
            if size < 1:
                raise ConfigError(f"dims['{symbol}']: expected a positive number, got {size}")
        factor = 2 if interaction.is_complex else 1
        shapes = [
            [tuple(sizes[symbol] for symbol in shape) for shape in part]
            for part in (interaction.entity_shape, interaction.relation_shape)
        ]
        widths = [sum(factor * math.prod(shape) for shape in part) for part in shapes]
        super().__init__(dim, widths[0], widths[1], widths[0] + widths[1])
        self.interaction = interaction
        self.entity_shapes, self.relation_shapes = shapes

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """Both side by side: the interaction wants them whole."""
        return torch.cat([head, relation], dim=-1)

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """The interaction's scores of all pairs."""
        if query.size(0) == 0 or table.size(0) == 0:  # not every interaction can score nothing
            return query.new_zeros(query.size(0), table.size(0))
        head, relation = query.split([self.entity_dim, self.relation_dim], dim=-1)
        h = self._parts(head, self.entity_shapes, self.interaction.head_indices, 1)
        r = self._relation(relation, 1)
        step = max(1, CHUNK // (query.size(0) * max(self.entity_dim, self.relation_dim)))
        if self.training and get_batchnorm_modules(self.interaction):
            step = table.size(0)  # statistics of a chunk would not be those of the batch
        parts = []
        for some in table.split(step):
            t = self._parts(some, self.entity_shapes, self.interaction.tail_indices, 0)
            scores: Tensor = self.interaction(h=h, r=r, t=t)
            parts.append(scores.expand(query.size(0), some.size(0)))
        return torch.cat(parts, dim=-1)

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """The interaction's scores of pairs."""
        head, relation = query.split([self.entity_dim, self.relation_dim], dim=-1)
        h = self._parts(head, self.entity_shapes, self.interaction.head_indices, None)
        r = self._relation(relation, None)
        t = self._parts(tail, self.entity_shapes, self.interaction.tail_indices, None)
        scores: Tensor = self.interaction(h=h, r=r, t=t)
        return scores

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draws the interaction's parameters anew, as PyKEEN does, without touching the global random state."""
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(1 << 31, (), generator=generator)))
            self.interaction.reset_parameters()

    def config(self) -> dict[str, Any]:
        """What it is; it cannot be built again from this."""
        return {"name": self.name, "interaction": type(self.interaction).__name__, "rank": self.rank}

    def _relation(self, x: Tensor, unsqueeze: int | None) -> Any:
        parts = self._parts(x, self.relation_shapes, None, unsqueeze)
        return torch.sgn(parts) if isinstance(self.interaction, RotatEInteraction) else parts

    def _parts(
        self, x: Tensor, shapes: Sequence[tuple[int, ...]], indices: Sequence[int] | None, unsqueeze: int | None
    ) -> Any:
        """The representations in rows ``[B, width]``: one tensor, or a tuple of them, as the interaction expects."""
        factor = 2 if self.interaction.is_complex else 1
        columns = torch.split(x, [factor * math.prod(shape) for shape in shapes], dim=-1)
        parts = []
        for index in range(len(shapes)) if indices is None else indices:
            part = columns[index].reshape(x.size(0), *shapes[index], *((2,) if factor == 2 else ()))
            part = torch.view_as_complex(part.contiguous()) if factor == 2 else part
            parts.append(part if unsqueeze is None else part.unsqueeze(unsqueeze))
        return parts[0] if len(parts) == 1 else tuple(parts)
