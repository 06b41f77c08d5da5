"""A teacher whose entity vectors are learned projections of features."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.complex import ComplExInteraction
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.scorer import Scorer

STRUCTURES = ("missing", "all", "none")
CHUNK = 1 << 16  # entities at once, where all of them are gone over


class ModalityTeacher(Scorer):
    r"""An expert that sees modalities: a scorer, ComplEx by default, over entity vectors made of projected features.

    .. math::
        e_i = [i \in \mathcal S] \; s_i
        + \sum_m [i \text{ has } m] \; W'_m \, \mathrm{GELU}(W_m \hat x_{m,i} + b_m)

    with :math:`\hat x_{m,i}` the feature of modality :math:`m`, see :func:`standardize`, and :math:`s_i` a free vector
    for the entities :math:`\mathcal S` that have a structure part: by default those that have none of the modalities,
    for the expert could say nothing about them otherwise. An entity that it can see, it has to judge by what it sees.
    A missing modality adds nothing: no filling.

    Args:
        features (dict[str, Tensor]): Modality to features, ``[N, D_m]`` each.
        masks (dict[str, Tensor]): Modality to which entities have it, ``[N]`` bool each.
        num_relations (int): Number of relations :math:`R`, without inverses.
        rank (int): Number of complex dimensions :math:`d` of the default interaction. (default: :obj:`200`)
        structure (str): Which entities get a free vector: ``"missing"``, ``"all"`` or ``"none"``.
            (default: :obj:`"missing"`)
        hidden_dim (int): Width of the hidden layer of each projection; 0 for a linear one. (default: :obj:`512`)
        dropout (float): Dropout of query entity and query vector in training, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        init_scale (float): Standard deviation of the initial free vectors. (default: :obj:`0.1`)
        generator (torch.Generator, optional): Source of initial values and dropout; a new one seeded with 0 if
            :obj:`None`.
        interaction (Interaction, optional): The scoring function, also one of another library, see
            :mod:`torch_geometric_dsom.adapters`; ComplEx of the given rank if :obj:`None`.
        mapped (bool): Whether the features stay where they are, such as in a file that is mapped into memory, see
            :func:`~torch_geometric_dsom.data.map_features`, and rows are read and standardised when they are needed,
            instead of kept beside the parameters. (default: :obj:`False`)

    Raises:
        ConfigError: If no modality is given, names or shapes disagree, or an option is out of range.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.nn import ModalityTeacher
        >>> mask = torch.tensor([True, True, True, True, False])
        >>> teacher = ModalityTeacher({"image": torch.rand(5, 8)}, {"image": mask}, num_relations=2, rank=4)
        >>> teacher.score_tails(torch.tensor([0]), torch.tensor([3])).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        features: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        num_relations: int,
        rank: int = 200,
        structure: str = "missing",
        hidden_dim: int = 512,
        dropout: float = 0.0,
        init_scale: float = 0.1,
        generator: torch.Generator | None = None,
        interaction: Interaction | None = None,
        mapped: bool = False,
    ) -> None:
        if not features or set(features) != set(masks):
            raise ConfigError(f"features, masks: expected the same modalities, got {sorted(features)}, {sorted(masks)}")
        if structure not in STRUCTURES:
            raise ConfigError(f"structure: expected one of {list(STRUCTURES)}, got {structure!r}")
        if hidden_dim < 0:
            raise ConfigError(f"hidden_dim: expected zero or a positive number, got {hidden_dim}")
        num_entities = next(iter(features.values())).size(0)
        for name, x in features.items():
            if x.dim() != 2 or x.size(0) != num_entities or masks[name].shape != (num_entities,):
                raise ConfigError(
                    f"features['{name}'], masks['{name}']: expected [{num_entities}, D] and [{num_entities}], "
                    f"got {list(x.shape)} and {list(masks[name].shape)}"
                )
        interaction = ComplExInteraction(rank) if interaction is None else interaction
        super().__init__(num_entities, num_relations, interaction, dropout, init_scale, generator)
        self.row_free: Tensor
        self.modalities = tuple(features)
        self.structure = structure
        self.hidden_dim = hidden_dim
        self.mapped = mapped
        self._raw = dict(features) if mapped else {}  # neither moved nor saved
        self._offset = 0  # of the first entity in them
        self.project = nn.ModuleDict()
        seen = torch.zeros(num_entities, dtype=torch.bool)
        for name, x in features.items():
            seen |= masks[name].cpu()
            # Only the rows that are there are kept and projected.
            self.register_buffer(f"row_{name}", masks[name].nonzero().flatten(), persistent=False)
            if mapped:
                self.register_buffer(f"mean_{name}", mean_of(x, masks[name]), persistent=False)
            else:
                self.register_buffer(f"x_{name}", standardize(x, masks[name])[masks[name]], persistent=False)
            self.project[name] = projection(x.size(1), hidden_dim, interaction.entity_dim)
        free = {"missing": ~seen, "all": torch.ones_like(seen), "none": torch.zeros_like(seen)}[structure]
        self.register_buffer("row_free", free.nonzero().flatten(), persistent=False)
        self.relation = nn.Parameter(torch.empty(2 * num_relations, interaction.relation_dim))
        self.entity = nn.Parameter(torch.empty(int(free.sum()), interaction.entity_dim))
        self.reset_parameters()

    @classmethod
    def from_data(cls, data: Data, modalities: Sequence[str], rank: int = 200, **kwargs: Any) -> ModalityTeacher:
        """Builds a teacher on modalities of a graph in the data contract (``x_<name>``, ``<name>_mask``).

        Args:
            data (Data): The graph.
            modalities (list[str]): Names of the modalities to use.
            rank (int): Number of complex dimensions. (default: :obj:`200`)
            **kwargs: Further arguments of the class.

        Returns:
            ModalityTeacher: Not trained yet.

        Raises:
            ConfigError: If the graph lacks a modality.
        """
        for name in modalities:
            if f"x_{name}" not in data or f"{name}_mask" not in data:
                raise ConfigError(f"modalities: expected x_{name} and {name}_mask in data, got {sorted(data.keys())}")
        features = {name: data[f"x_{name}"] for name in modalities}
        masks = {name: data[f"{name}_mask"] for name in modalities}
        return cls(features, masks, data.num_relations, rank=rank, **kwargs)

    @torch.no_grad()
    def cut(self, rows: slice) -> ModalityTeacher:
        """See :meth:`~torch_geometric_dsom.nn.Scorer.cut`."""
        part = copy.copy(self)
        part._parameters, part._buffers = dict(self._parameters), dict(self._buffers)
        part._modules = {name: copy.deepcopy(module) for name, module in self._modules.items()}
        part.num_entities = len(range(*rows.indices(self.num_entities)))

        def inside(name: str) -> Tensor:
            """Cuts a list of entities; tells which of them are left."""
            entity = getattr(self, name)
            kept: Tensor = (entity >= rows.start) & (entity < rows.stop)
            setattr(part, name, entity[kept] - rows.start)
            return kept

        part.entity = nn.Parameter(self.entity[inside("row_free")].clone(), self.entity.requires_grad)
        part.relation = nn.Parameter(self.relation.clone(), self.relation.requires_grad)
        for name in self.modalities:
            kept = inside(f"row_{name}")
            if not self.mapped:
                setattr(part, f"x_{name}", getattr(self, f"x_{name}")[kept])
        part._offset = self._offset + rows.start
        return part

    def reset_parameters(self) -> None:
        """Draws tables and projections anew."""
        self.interaction.reset_entity(self.entity, self.init_scale, self.generator)
        self.interaction.reset_relation(self.relation, self.init_scale, self.generator)
        self.interaction.reset_parameters(self.generator)
        for layer in self.project.modules():
            if isinstance(layer, nn.Linear):
                bound = 1.0 / math.sqrt(layer.in_features)
                nn.init.uniform_(layer.weight, -bound, bound, generator=self.generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def entity_table(self) -> Tensor:
        """The entity vectors made of features and structure, ``[N, entity_dim]``; in chunks where no gradient is."""
        if not torch.is_grad_enabled():
            table = self.entity.new_empty(self.num_entities, self.interaction.entity_dim)
            for part in torch.arange(self.num_entities, device=table.device).split(CHUNK):
                table[part[0] : part[-1] + 1] = self.entity_rows(part)
            return table
        table = self.entity.new_zeros(self.num_entities, self.interaction.entity_dim)
        table = table.index_copy(0, self.row_free, self.entity)
        for name in self.modalities:
            row = getattr(self, f"row_{name}")
            table = table.index_add(0, row, self.project[name](self._features(name, slice(None))))
        return table

    def entity_rows(self, index: Tensor) -> Tensor:
        """Some of the entity vectors; no feature of another entity is touched."""
        table = self.entity.new_zeros(index.numel(), self.interaction.entity_dim)
        place, where = _among(self.row_free, index)
        table = table.index_copy(0, where, self.entity.index_select(0, place))
        for name in self.modalities:
            place, where = _among(getattr(self, f"row_{name}"), index)
            table = table.index_add(0, where, self.project[name](self._features(name, place)))
        return table

    def _features(self, name: str, which: Tensor | slice) -> Tensor:
        """Standardised features of those that have a modality, by number among them."""
        if not self.mapped:
            kept: Tensor = getattr(self, f"x_{name}")[which]
            return kept
        mean, row = getattr(self, f"mean_{name}"), getattr(self, f"row_{name}")[which] + self._offset
        raw = self._raw[name]
        return nn.functional.normalize(raw[row.to(raw.device)].to(mean) - mean, dim=-1)

    @property
    def row_by_row(self) -> bool:
        """Whether some entity vectors are made without the others."""
        return True

    def relation_table(self) -> Tensor:
        """The relation vectors, inverse ones behind, ``[2R, relation_dim]``."""
        return self.relation

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"{super().extra_repr()}, modalities={list(self.modalities)}, structure='{self.structure}'"


def standardize(x: Tensor, mask: Tensor) -> Tensor:
    """Features centred over the entities that have them and scaled to unit length; zeros elsewhere.

    Args:
        x (Tensor): Features, ``[N, D]``.
        mask (Tensor): Which entities have them, ``[N]`` bool.

    Returns:
        Tensor: ``[N, D]``, float32.

    Example:
        >>> import torch
        >>> standardize(torch.tensor([[3.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), torch.tensor([True, True, False]))
        tensor([[ 1.,  0.],
                [-1.,  0.],
                [ 0.,  0.]])
    """
    out = torch.zeros_like(x, dtype=torch.float32)
    if bool(mask.any()):
        present = x[mask].float()
        out[mask] = nn.functional.normalize(present - present.mean(dim=0), dim=-1)
    return out


def mean_of(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of the features of those entities that have them, in chunks of rows, ``[D]`` float32.

    Args:
        x (Tensor): Features, ``[N, D]``.
        mask (Tensor): Which entities have them, ``[N]`` bool.

    Example:
        >>> import torch
        >>> mean_of(torch.tensor([[3.0, 0.0], [1.0, 0.0], [9.0, 9.0]]), torch.tensor([True, True, False]))
        tensor([2., 0.])
    """
    total = torch.zeros(x.size(1), dtype=torch.float64, device=x.device)
    for part, there in zip(x.split(CHUNK), mask.to(x.device).split(CHUNK), strict=True):
        total += part[there].sum(dim=0, dtype=torch.float64)
    return (total / mask.sum().clamp_min(1).to(total.device)).float()


def _among(ordered: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Of those numbers that are in an ascending list, their places in it, and their own."""
    if ordered.numel() == 0:
        return index.new_empty(0), index.new_empty(0)
    place = torch.searchsorted(ordered, index).clamp_max(ordered.numel() - 1)
    where = (ordered[place] == index).nonzero().flatten()
    return place[where], where


def projection(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Module:
    """A layer from features to entity vectors: linear, or with one hidden layer if ``hidden_dim`` is not 0."""
    sizes = [in_dim, out_dim] if hidden_dim == 0 else [in_dim, hidden_dim, out_dim]
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(itertools.pairwise(sizes), start=2):
        # Values are drawn later, not from torch's global generator.
        layers += [nn.utils.skip_init(nn.Linear, a, b, bias=number < len(sizes)), nn.GELU()]
    return nn.Sequential(*layers[:-1])
