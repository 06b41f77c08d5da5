"""Filling of missing modalities, by name and never by itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.errors import ConfigError

METHODS = ("zero", "mean", "normal", "neighbors")


class ImputeModality(BaseTransform):
    r"""Fills the features of entities that lack a modality, and says in the mask that all have it.

    Nothing in this package fills by itself: a missing modality stays masked. This transform is for comparison with
    methods that fill.

    ============== =====================================================================================================
    ``method``     Feature of an entity that lacks the modality
    ============== =====================================================================================================
    ``zero``       zeros
    ``mean``       the mean over the entities that have it
    ``normal``     drawn from a normal distribution with their mean and deviation, column by column
    ``neighbors``  the mean over its neighbours in training that have it; where there is none, the mean over all
    ============== =====================================================================================================

    Args:
        method (str): One of the above.
        names (list[str], optional): Modalities to fill; all of the graph if :obj:`None`.
        seed (int): Seed of ``"normal"``. (default: :obj:`0`)

    Raises:
        ConfigError: If the method is unknown.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.data import ImputeModality
        >>> data = Data(x_image=torch.tensor([[2.0], [4.0], [0.0]]), image_mask=torch.tensor([True, True, False]))
        >>> ImputeModality("mean")(data).x_image.flatten()
        tensor([2., 4., 3.])
    """

    def __init__(self, method: str, names: list[str] | None = None, seed: int = 0) -> None:
        if method not in METHODS:
            raise ConfigError(f"method: expected one of {list(METHODS)}, got '{method}'")
        self.method = method
        self.names = names
        self.seed = seed

    def forward(self, data: Data) -> Data:
        """Fills the modalities of a copy of the graph.

        Raises:
            ConfigError: If the graph lacks a modality that is named.
        """
        known = modalities(data)
        for name in self.names if self.names is not None else known:
            if name not in known:
                raise ConfigError(f"names: expected modalities of the graph, {known}, got '{name}'")
            x, mask = data[f"x_{name}"], data[f"{name}_mask"]
            filled = x.clone()
            filled[~mask] = self._fill(data, x, mask)[~mask]
            data[f"x_{name}"], data[f"{name}_mask"] = filled, torch.ones_like(mask)
        return data

    def _fill(self, data: Data, x: Tensor, mask: Tensor) -> Tensor:
        """What an entity would get, for every entity, ``[N, D]``."""
        if self.method == "zero" or not bool(mask.any()):
            return torch.zeros_like(x)
        mean = x[mask].mean(dim=0, keepdim=True)
        if self.method == "normal":
            deviation = x[mask].std(dim=0, correction=0, keepdim=True)
            generator = torch.Generator().manual_seed(self.seed)
            return mean + deviation * torch.randn(x.shape, generator=generator).to(x)
        if self.method == "mean":
            return mean.expand_as(x)
        source, target = torch.cat([data.edge_index, data.edge_index.flip(0)], dim=1).unique(dim=1)
        seen = mask[source] & (source != target)
        total = torch.zeros_like(x).index_add_(0, target[seen], x[source[seen]])
        count = torch.bincount(target[seen], minlength=x.size(0)).unsqueeze(-1)
        return torch.where(count > 0, total / count.clamp_min(1).to(x), mean)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.method}')"
