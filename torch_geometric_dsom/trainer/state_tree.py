"""Nested states as plain values and named tensors, and back: what JSON and safetensors can hold together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from torch_geometric_dsom.errors import CheckpointError

TENSOR, PAIRS = "$tensor", "$pairs"


def split_tree(tree: object) -> tuple[Any, dict[str, Tensor]]:
    """Takes the tensors out of nested dictionaries, lists and tuples.

    Args:
        tree (object): Of dictionaries with keys that are strings or numbers, lists, tuples, tensors, and what JSON
            knows. Tuples come back as lists.

    Returns:
        tuple[object, dict[str, Tensor]]: The tree with a name for each tensor, and the tensors by name.

    Raises:
        CheckpointError: If there is something else in it.

    Example:
        >>> import torch
        >>> split_tree({"a": [1, torch.zeros(2)], "b": {0: "x"}})
        ({'a': [1, {'$tensor': 'a.1'}], 'b': {'$pairs': [[0, 'x']]}}, {'a.1': tensor([0., 0.])})
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: object, place: str) -> Any:
        if isinstance(value, Tensor):
            name = place or "value"
            if name in tensors:
                name = f"{name}#{len(tensors)}"  # two paths that read alike
            tensors[name] = value
            return {TENSOR: name}
        if isinstance(value, Mapping):
            items = [(key, walk(item, f"{place}.{key}" if place else str(key))) for key, item in value.items()]
            if all(isinstance(key, str) for key in value) and not {TENSOR, PAIRS} & set(value):
                return dict(items)
            return {PAIRS: [[key, item] for key, item in items]}
        if isinstance(value, (list, tuple)):
            return [walk(item, f"{place}.{number}" if place else str(number)) for number, item in enumerate(value)]
        if value is None or isinstance(value, (str, int, float)):
            return value
        raise CheckpointError(f"{place or 'value'}: cannot save a {type(value).__name__}")

    return walk(tree, ""), tensors


def join_tree(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Puts the tensors back.

    Args:
        plain (object): From :func:`split_tree`.
        tensors (dict[str, Tensor]): From :func:`split_tree`.

    Raises:
        KeyError: If a tensor is missing.

    Example:
        >>> import torch
        >>> join_tree(*split_tree({"a": [1, torch.ones(1)], "b": {0: "x"}}))
        {'a': [1, tensor([1.])], 'b': {0: 'x'}}
    """
    if isinstance(plain, dict):
        if set(plain) == {TENSOR}:
            return tensors[plain[TENSOR]]
        if set(plain) == {PAIRS}:
            return {key: join_tree(item, tensors) for key, item in plain[PAIRS]}
        return {key: join_tree(item, tensors) for key, item in plain.items()}
    if isinstance(plain, list):
        return [join_tree(item, tensors) for item in plain]
    return plain
