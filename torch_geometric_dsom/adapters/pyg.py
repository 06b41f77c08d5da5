"""Knowledge graph embeddings of ``torch_geometric.nn.kge`` as teachers and students."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.kge import ComplEx, DistMult, KGEModel, RotatE, TransE

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import (
    ComplExInteraction,
    DistMultInteraction,
    Interaction,
    RotatEInteraction,
    Scorer,
    TransEInteraction,
)

CHUNK = 1 << 24  # numbers that a fallback may gather at once


def pyg_interaction(model: KGEModel) -> Interaction:
    """The scoring function of a model of PyG, to build other scorers on it.

    TransE, DistMult, ComplEx and RotatE have one that scores all entities at once; any other model is called on pairs,
    see :class:`PyGInteraction`.

    Args:
        model (KGEModel): Only its class and sizes matter; its tables are not used.

    Returns:
        Interaction: Equal to the model's ``forward``.

    Example:
        >>> from torch_geometric.nn.kge import TransE
        >>> pyg_interaction(TransE(num_nodes=5, num_relations=2, hidden_channels=4))
        TransEInteraction(rank=4, p=1.0, normalize=True)
    """
    size = model.hidden_channels
    if type(model) is TransE and model.p_norm in (1, 2):
        return TransEInteraction(size, p=model.p_norm, normalize=True)
    if type(model) is DistMult:
        return DistMultInteraction(size)
    if type(model) is ComplEx:
        return ComplExInteraction(size)
    if type(model) is RotatE:
        return RotatEInteraction(size, margin=float(model.margin))
    return PyGInteraction(model)


class PyGInteraction(Interaction):
    """The scoring function of any model of PyG that looks up rows of embeddings, called on pairs.

    The model's ``forward`` is run with other tables in place of its own, in chunks, so that no more than a fixed number
    of vectors is gathered at once. That is slower than a product. Whatever else the model has learned is used as it is;
    but nothing else may belong to single entities or relations, and forward may only look up rows. Both are checked
    once, with random values, for scores would be wrong without notice. An extra column of the relation says whether
    head and tail are to be swapped, so that inverse queries are answered by the model's scores of all heads.

    Args:
        model (KGEModel): The model; it is not copied.

    Raises:
        ConfigError: If the model keeps no embeddings of entities and relations, or its scores depend on more than the
            rows of those that belong to the fact.

    Example:
        >>> from torch_geometric.nn.kge import DistMult
        >>> PyGInteraction(DistMult(num_nodes=5, num_relations=2, hidden_channels=4)).entity_dim
        4
    """

    name = "pyg"

    def __init__(self, model: KGEModel) -> None:
        widths = {key: _weight(model.get_submodule(key)).size(1) for key in _embeddings(model)}
        nodes = [key for key in widths if key.startswith("node_emb")]
        relations = [key for key in widths if key.startswith("rel_emb")]
        if not nodes or not relations:
            raise ConfigError(f"model: expected embeddings node_emb and rel_emb, got {type(model).__name__}")
        entity_dim = sum(widths[key] for key in nodes)
        relation_dim = sum(widths[key] for key in relations) + 1
        super().__init__(int(model.hidden_channels), entity_dim, relation_dim, entity_dim + relation_dim)
        self.model = model
        self.widths = widths
        self.node_names = nodes
        self.rel_names = relations
        self._check()

    def query(self, head: Tensor, relation: Tensor) -> Tensor:
        """Both side by side: the model wants them whole."""
        return torch.cat([head, relation], dim=-1)

    def score(self, query: Tensor, table: Tensor) -> Tensor:
        """The model's scores of all pairs."""
        rows, count = query.size(0), table.size(0)
        step = max(1, CHUNK // max(rows * self.query_dim, 1))
        parts = [self._pairs(query, part) for part in table.split(step)]
        return torch.cat(parts, dim=-1) if parts else query.new_zeros(rows, count)

    def score_facts(self, query: Tensor, tail: Tensor) -> Tensor:
        """The model's scores of pairs."""
        each = torch.arange(query.size(0), device=query.device)
        return self._call(query, tail, each, each)

    def inverse(self, relation: Tensor) -> Tensor:
        """The same relations with head and tail swapped."""
        return torch.cat([relation[:, :-1], 1.0 - relation[:, -1:]], dim=-1)

    def reset_relation(self, table: Tensor, scale: float, generator: torch.Generator) -> None:
        """Draws a relation table anew; none of its relations is swapped."""
        super().reset_relation(table, scale, generator)
        with torch.no_grad():
            table[:, -1] = 0.0

    def config(self) -> dict[str, Any]:
        """What it is; it cannot be built again from this."""
        return {"name": self.name, "model": type(self.model).__name__}

    @torch.no_grad()
    def _check(self) -> None:
        """Compares scores on other tables with the model's own, all its parameters drawn at random for the moment."""
        generator = torch.Generator().manual_seed(0)
        values = {
            key: torch.randn(value.shape, generator=generator).to(value) for key, value in self.model.named_parameters()
        }
        nodes = torch.cat([values[f"{key}.weight"] for key in self.node_names], dim=-1)
        relations = torch.cat([values[f"{key}.weight"] for key in self.rel_names], dim=-1)
        each = torch.arange(4, device=nodes.device)  # facts whose own numbers differ from those of our rows
        head, rel, tail = (-1 - each) % nodes.size(0), (-1 - each) % relations.size(0), (3 - each) % nodes.size(0)
        query = torch.cat([nodes[head], relations[rel], relations.new_zeros(4, 1)], dim=-1)
        modes = [(part, part.training) for part in self.model.modules()]
        self.model.eval()
        try:
            expected = torch.func.functional_call(self.model, values, (head, rel, tail))
            same = torch.allclose(self._call(query, nodes[tail], each, each, values), expected, rtol=1e-3, atol=1e-4)
        except IndexError:  # a table of its own was asked for a row by our numbers
            same = False
        finally:
            for part, mode in modes:
                part.training = mode
        if not same:
            raise ConfigError(
                f"model: expected scores that depend on rows of {self.node_names} and {self.rel_names} alone, got "
                f"{type(self.model).__name__}, which has other values of single entities or relations, or reads whole "
                "tables"
            )

    def _pairs(self, query: Tensor, table: Tensor) -> Tensor:
        rows, count = query.size(0), table.size(0)
        row = torch.arange(rows, device=query.device).repeat_interleave(count)
        column = torch.arange(count, device=query.device).repeat(rows)
        return self._call(query, table, row, column).view(rows, count)

    def _call(
        self, query: Tensor, table: Tensor, row: Tensor, column: Tensor, values: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Scores of query ``row[i]`` with entity ``column[i]``, by the model's forward on other tables."""
        head, relation = query.split([self.entity_dim, self.relation_dim], dim=-1)
        nodes = torch.cat([head, table])
        tables = dict(zip(self.node_names, self._cut(nodes, self.node_names), strict=True))
        tables |= dict(zip(self.rel_names, self._cut(relation[:, :-1], self.rel_names), strict=True))
        weights = {**(values or {}), **{f"{key}.weight": value for key, value in tables.items()}}
        swapped = relation[row, -1].detach() > 0.5
        tail = query.size(0) + column
        first, second = torch.where(swapped, tail, row), torch.where(swapped, row, tail)
        scores: Tensor = torch.func.functional_call(self.model, weights, (first, row, second))
        return scores

    def _cut(self, x: Tensor, names: list[str]) -> tuple[Tensor, ...]:
        return torch.split(x, [self.widths[key] for key in names], dim=-1)


class PyGScorer(Scorer):
    r"""A model of ``torch_geometric.nn.kge`` as teacher or student.

    Entity and relation vectors are the model's own, so training the scorer trains the model. Scores of all entities
    equal the model's one by one. A model with :math:`2R` relations has reciprocal ones; one with :math:`R` answers
    :math:`(?, r, t)` by its scores of all heads.

    Args:
        model (KGEModel): The model.
        num_relations (int, optional): Number of relations :math:`R` of the graph, where the model has :math:`2R`; the
            model's own number if :obj:`None`.

    Raises:
        ConfigError: If the model has neither :math:`R` nor :math:`2R` relations, or keeps no embeddings.

    Example:
        >>> import torch
        >>> from torch_geometric.nn.kge import RotatE
        >>> model = RotatE(num_nodes=5, num_relations=2, hidden_channels=4)
        >>> PyGScorer(model).score_tails(torch.tensor([0, 1]), torch.tensor([1, 3])).shape
        torch.Size([2, 5])
    """

    def __init__(self, model: KGEModel, num_relations: int | None = None) -> None:
        num_relations = model.num_relations if num_relations is None else num_relations
        if model.num_relations not in (num_relations, 2 * num_relations):
            raise ConfigError(
                f"num_relations: expected {model.num_relations} or half of it, as the model has it, got {num_relations}"
            )
        super().__init__(model.num_nodes, num_relations, pyg_interaction(model), 0.0, 1.0, None)
        self.model = model

    def entity_table(self) -> Tensor:
        """The model's entity vectors, ``[N, entity_dim]``."""
        return self._table("node_emb")

    def relation_table(self) -> Tensor:
        """The model's relation vectors, inverse ones behind, ``[2R, relation_dim]``."""
        table = self._table("rel_emb")
        if isinstance(self.interaction, PyGInteraction):
            table = torch.cat([table, table.new_zeros(table.size(0), 1)], dim=-1)
        if table.size(0) == 2 * self.num_relations:
            return table
        return torch.cat([table, self.interaction.inverse(table)])

    def reset_parameters(self) -> None:
        """Draws the model's parameters anew, as PyG does, without touching the global random state."""
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(1 << 31, (), generator=self.generator)))
            self.model.reset_parameters()

    def _table(self, prefix: str) -> Tensor:
        keys = [key for key in _embeddings(self.model) if key.startswith(prefix)]
        return torch.cat([_weight(self.model.get_submodule(key)) for key in keys], dim=-1)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{super().extra_repr()}, model={type(self.model).__name__}"


def _embeddings(model: KGEModel) -> list[str]:
    """Names of the embeddings of entities and relations, in the order in which the model made them."""
    prefixes = ("node_emb", "rel_emb")
    return [key for key, part in model.named_children() if isinstance(part, nn.Embedding) and key.startswith(prefixes)]


def _weight(module: nn.Module) -> Tensor:
    assert isinstance(module, nn.Embedding)
    return module.weight
