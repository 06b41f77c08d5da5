"""How a scorer is trained: the numbers of one fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import narrow_dtype

OPTIMIZERS = ("adam", "adagrad")
DTYPES: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}  # None: as the tensors are
AUTO = "auto"


def product_dtype(name: str, device: torch.device | str = "cpu") -> torch.dtype | None:
    """The dtype of a name, ``"auto"`` being the narrow one where the device has it; :obj:`None`: as the tensors are."""
    return narrow_dtype(device) if name == AUTO else DTYPES[name]


@dataclass(frozen=True)
class FitConfig:
    """How a scorer is trained.

    Args:
        epochs (int): Epochs at most. (default: :obj:`60`)
        batch_size (int): Queries a batch. (default: :obj:`256`)
        max_facts (int): Facts of a query at most in one row of a batch, see
            :class:`~torch_geometric_dsom.sampler.QuerySampler`; 1 gives each fact a dropout of its own.
            (default: :obj:`16`)
        optimizer (str): ``"adam"`` or ``"adagrad"``. (default: :obj:`"adam"`)
        lr (float): Learning rate. (default: :obj:`0.003`)
        n3 (float): Weight of the N3 penalty. (default: :obj:`0.0`)
        relation_prediction (float): Weight of the cross-entropy of relations between head and tail, see
            :meth:`~torch_geometric_dsom.nn.Scorer.fact_loss`. (default: :obj:`0.0`)
        evaluate_every (int): Epochs between two validations. (default: :obj:`3`)
        patience (int): Validations without a better MRR before training stops. (default: :obj:`4`)
        dtype (str): In which products with the entity table are computed, ``"float32"`` or ``"bfloat16"``, which takes
            half the time where the machine knows it; everything else stays float32. (default: :obj:`"float32"`)
        workspace_bytes (int): Memory for logits and what is made of them; a batch that needs more is computed in parts,
            with the same loss. (default: :obj:`134217728`, 128 MiB)
        max_batches (int, optional): Batches of an epoch at most, drawn anew from all facts: epochs of a large graph
            that are short, with a validation after each. All of them if :obj:`None`.

    Raises:
        ConfigError: If a value is out of range.
    """

    epochs: int = 60
    batch_size: int = 256
    max_facts: int = 16
    optimizer: str = "adam"
    lr: float = 3e-3
    n3: float = 0.0
    relation_prediction: float = 0.0
    evaluate_every: int = 3
    patience: int = 4
    dtype: str = "float32"
    workspace_bytes: int = 1 << 27
    max_batches: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_facts", "evaluate_every", "patience", "workspace_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        if self.max_batches is not None and self.max_batches < 1:
            raise ConfigError(f"max_batches: expected a positive number or None, got {self.max_batches}")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"optimizer: expected one of {list(OPTIMIZERS)}, got '{self.optimizer}'")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype: expected one of {list(DTYPES)}, got '{self.dtype}'")
        if not self.lr > 0:
            raise ConfigError(f"lr: expected a positive number, got {self.lr}")
        for name in ("n3", "relation_prediction"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected zero or a positive number, got {getattr(self, name)}")


PATH_FIT = FitConfig(epochs=8, batch_size=128, max_facts=1, lr=5e-3, evaluate_every=1, patience=2)  # what paths tell
