"""The configuration of a dataset that the study in ``benchmarks/`` supports."""

from __future__ import annotations

import copy
from typing import Any

RECOMMENDED: dict[str, dict[str, Any]] = {
    "EmojiWorld": {},
}


def recommended(dataset: str) -> dict[str, Any]:
    """Options of :class:`~torch_geometric_dsom.trainer.DSoMConfig` for a dataset, over the defaults.

    They were chosen by validation MRR, see ``benchmarks/RESULTS.md``; a graph of one's own has none.

    Args:
        dataset (str): Name of the dataset's class.

    Returns:
        dict: Options by name, nested ones as dictionaries.

    Example:
        >>> from torch_geometric_dsom import DSoMTrainer
        >>> DSoMTrainer(**recommended("EmojiWorld"))
        DSoMTrainer(seed=0, rank=100, not trained, teachers=[])
    """
    return copy.deepcopy(RECOMMENDED.get(dataset, {}))
