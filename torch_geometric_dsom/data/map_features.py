"""Features that stay in their file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torch_geometric_dsom.errors import DataError


def map_features(path: str | os.PathLike[str]) -> Tensor:
    """A matrix of features in a ``.npy`` file, mapped into memory: pages are read when they are touched.

    Changes of the tensor do not reach the file. The rows have to be those of the entities, in their order.

    Args:
        path (path): The file, of half, single or double floats, ``[N, D]`` in C order; nothing in it is executed.

    Returns:
        Tensor: ``[N, D]``, to be set as ``data.x_<modality>`` beside a mask.

    Raises:
        DataError: If it is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder, "x.npy"), np.ones((3, 2), dtype="float16"))
        ...     map_features(Path(folder, "x.npy")).shape
        torch.Size([3, 2])
    """
    try:
        array = np.load(Path(path), mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected a .npy file of floats, could not be mapped: {error}") from error
    kinds = [np.dtype(kind) for kind in ("float16", "float32", "float64")]
    if not isinstance(array, np.memmap) or array.ndim != 2 or array.dtype not in kinds or not array.flags.c_contiguous:
        came = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{path}: expected a .npy file of floats [N, D] in C order, got {came}")
    return torch.from_numpy(array)
