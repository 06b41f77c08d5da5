"""Training of the guide that is trained: what messages along the facts of a graph tell of an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import KnownAnswers, validate
from torch_geometric_dsom.distributed import rand_rows
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import device_of
from torch_geometric_dsom.nn import PathScorer
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler
from torch_geometric_dsom.trainer.fit import Logs, fit_on_graph
from torch_geometric_dsom.trainer.fit_config import PATH_FIT, FitConfig

PATHS = "paths"
KEPT = 0.1  # of the facts are not left out


class PathObjective:
    r"""1-vs-all cross-entropy of facts that are looked at as if they were missing.

    The fact that a query is asked about is left out of what messages walk along, in both directions, but for a share of
    them: otherwise nothing would tell what a known answer is. The other known answers of a query are no wrong ones.

    Args:
        model (PathScorer): What is trained.
        data (Data): A graph in the data contract; of its facts only those of training are read.
        kept (float): Share of facts that are not left out, in :math:`[0, 1)`. (default: :obj:`0.1`)
        generator (torch.Generator, optional): Source of which these are; a new one seeded with 0 if :obj:`None`.

    Raises:
        ConfigError: If the share is out of range.
    """

    def __init__(
        self, model: PathScorer, data: Data, kept: float = KEPT, generator: torch.Generator | None = None
    ) -> None:
        if not 0 <= kept < 1:
            raise ConfigError(f"kept: expected a share in [0, 1), got {kept}")
        self.model, self.kept = model, kept
        self.known = KnownAnswers.from_data(data, splits=("train",))
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)

    def __call__(self, batch: QueryBatch, epoch: int) -> tuple[Tensor, Logs]:
        """The loss of a batch."""
        batch = batch.ungrouped()
        drawn = rand_rows((batch.target.numel(),), self.generator, batch.around.facts)
        row, answer = self.known.rows(batch.head, batch.relation)
        other = answer != batch.target[row]
        device = device_of(self.model) or batch.head.device
        head, relation, target = (x.to(device) for x in (batch.head, batch.relation, batch.target))
        left_out = torch.where(drawn.to(device) < self.kept, -1, target)
        logits = self.model.evidence(head, relation, left_out)
        logits.index_put_((row[other].to(device), answer[other].to(device)), logits.new_tensor(-torch.inf))
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
        return batch.weight * loss / max(target.numel(), 1), {}

    def state_dict(self) -> dict[str, Any]:
        """What changes in training beside the model."""
        return {"kept": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self.generator.set_state(state["kept"])


def fit_paths(
    guide: PathScorer,
    data: Data,
    epochs: int | None = None,
    config: FitConfig | None = None,
    progress: bool | None = None,
) -> PathScorer:
    """Trains what paths tell of an answer, and freezes it: a guide that finished scorers may listen to.

    Args:
        guide (PathScorer): What is trained, in place.
        data (Data): A graph in the data contract; its validation facts, where there are any, choose the epoch.
        epochs (int, optional): Epochs at most; those of the configuration if :obj:`None`.
        config (FitConfig, optional): How to train; 8 epochs of Adam, 128 facts a batch, if :obj:`None`.
        progress (bool, optional): Whether to show a progress bar; :obj:`None` shows it on a terminal.

    Returns:
        PathScorer: The same guide, without gradients.

    Raises:
        ConfigError: If a penalty or bfloat16 is asked for, which it does not have.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> from torch_geometric_dsom.nn import ComplEx, PathScorer
        >>> from torch_geometric_dsom.trainer import fit_guides
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> paths = fit_paths(PathScorer.from_data(data, dim=8, layers=2), data, epochs=1, progress=False)
        >>> fit_guides(ComplEx(60, 2, rank=4), data, weights=[1.0], guides=[paths]).guide
        PathScorer(60, 2, facts=360, dim=8, layers=2)
    """
    validate(data)
    config = PATH_FIT if config is None else config
    config = config if epochs is None else replace(config, epochs=epochs)
    sampler = QuerySampler(data, batch_size=config.batch_size, max_facts=config.max_facts)
    fit_on_graph(guide, data, sampler, PathObjective(guide, data), check_fit(config), f"guide/{PATHS}", progress)
    return guide.eval().requires_grad_(False)


def check_fit(config: FitConfig) -> FitConfig:
    """The same configuration, if it can be used."""
    for name in ("n3", "relation_prediction"):
        if getattr(config, name) > 0:
            raise ConfigError(f"path_fit.{name}: expected 0, paths have no such term, got {getattr(config, name)}")
    if config.dtype != "float32":
        raise ConfigError(f"path_fit.dtype: expected 'float32', got '{config.dtype}'")
    return config
