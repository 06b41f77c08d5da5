"""Which modalities a graph carries."""

from __future__ import annotations

from torch_geometric.data import Data

PREFIX = "x_"
_FIRST = ("image", "text")


def modalities(data: Data) -> list[str]:
    """Names of the modalities of a graph: those for which ``x_<name>`` exists.

    Args:
        data (Data): A graph.

    Returns:
        list[str]: The names, ``"image"`` and ``"text"`` first, the others in the order of the alphabet.

    Example:
        >>> import torch
        >>> modalities(Data(x_sound=torch.zeros(2, 3), x_text=torch.zeros(2, 5), x=torch.zeros(2, 1)))
        ['text', 'sound']
    """
    names = sorted(key.removeprefix(PREFIX) for key in data.to_dict() if key.startswith(PREFIX) and key != PREFIX)
    return [name for name in _FIRST if name in names] + [name for name in names if name not in _FIRST]
