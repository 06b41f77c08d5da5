"""Models of PyG and PyKEEN as teachers and students, and our loss in PyKEEN's training.

PyKEEN is imported when one of its adapters is first used, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from torch_geometric_dsom.adapters.pyg import PyGInteraction, PyGScorer, pyg_interaction
from torch_geometric_dsom.optional import require

if TYPE_CHECKING:
    from torch_geometric_dsom.adapters.pykeen_interaction import PyKEENInteraction
    from torch_geometric_dsom.adapters.pykeen_loop import DistilledLCWATrainingLoop
    from torch_geometric_dsom.adapters.pykeen_model import PyKEENScorer
    from torch_geometric_dsom.adapters.triples_factory import from_triples_factory, to_triples_factory

_LAZY = {
    "DistilledLCWATrainingLoop": "pykeen_loop",
    "PyKEENInteraction": "pykeen_interaction",
    "PyKEENScorer": "pykeen_model",
    "from_triples_factory": "triples_factory",
    "to_triples_factory": "triples_factory",
}

__all__ = [
    "DistilledLCWATrainingLoop",
    "PyGInteraction",
    "PyGScorer",
    "PyKEENInteraction",
    "PyKEENScorer",
    "from_triples_factory",
    "pyg_interaction",
    "to_triples_factory",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("pykeen", extra="pykeen", user=name)
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
