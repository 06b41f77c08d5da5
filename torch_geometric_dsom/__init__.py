"""Reinforced multimodal distillation for reasoning over knowledge graphs, an extension of PyTorch Geometric."""

from torch_geometric_dsom.errors import CheckpointError, ConfigError, DataError, DSoMError, NonFiniteError
from torch_geometric_dsom.trainer import DSoMConfig, DSoMTrainer, Student
from torch_geometric_dsom.version import __version__

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DSoMConfig",
    "DSoMError",
    "DSoMTrainer",
    "DataError",
    "NonFiniteError",
    "Student",
    "__version__",
]
