"""Faster matrix products on CPU where they lose nothing, for the duration of a block."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

TOLERANCE = 1e-6


@contextmanager
def fast_matmul() -> Iterator[None]:
    """Lets float32 products on CPU go to the faster library, if this machine's result is checked to be as exact.

    ``torch.set_float32_matmul_precision("medium")`` chooses another library on CPU. On some processors that is full
    float32, on others it rounds to bfloat16. The former is told from the latter by one product, once a process; where
    it rounds, nothing is changed. GPUs keep the setting that they had. The process's setting is restored at the end.

    Example:
        >>> import torch
        >>> before = torch.get_float32_matmul_precision()
        >>> with fast_matmul():
        ...     product = torch.ones(2, 2) @ torch.ones(2, 2)
        >>> torch.get_float32_matmul_precision() == before
        True
    """
    before = torch.get_float32_matmul_precision()
    if torch.cuda.is_available() or not medium_is_exact():
        yield
        return
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def plain_matmul() -> Iterator[None]:
    """Undoes :func:`fast_matmul` for a while, for small products of a size that is another one each time.

    The faster library keeps a program for each size that it has met, up to a thousand of them, which is hundreds of
    megabytes for nothing.

    Example:
        >>> import torch
        >>> with fast_matmul(), plain_matmul():
        ...     product = torch.ones(2, 2) @ torch.ones(2, 2)
    """
    before = torch.get_float32_matmul_precision()
    if torch.cuda.is_available():
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product(a: Tensor, b: Tensor, dtype: torch.dtype | None = None, out: Tensor | None = None) -> Tensor:
    """A matrix product, computed in another dtype where one is given.

    Args:
        a (Tensor): ``[m, k]``.
        b (Tensor): ``[k, n]``.
        dtype (torch.dtype, optional): Such as ``torch.bfloat16``; that of :obj:`a` if :obj:`None`.
        out (Tensor, optional): Memory for the result, ``[m, n]``, of the dtype of :obj:`a` or the other one.

    Returns:
        Tensor: ``[m, n]``, of the dtype of :obj:`a` or of :obj:`out`.

    Example:
        >>> import torch
        >>> product(torch.full((1, 3), 1.001), torch.ones(3, 1), torch.bfloat16)
        tensor([[3.]])
    """
    if dtype is None or dtype == a.dtype:
        return torch.mm(a, b, out=out)
    if out is not None and out.dtype == dtype:
        return torch.mm(a.to(dtype), b.to(dtype), out=out)
    result = a.to(dtype) @ b.to(dtype)
    return result.to(a.dtype) if out is None else out.copy_(result)


def narrow_dtype(device: torch.device | str = "cpu") -> torch.dtype | None:
    """bfloat16 where a device computes it in hardware, else :obj:`None`.

    Args:
        device (torch.device or str): The device. (default: :obj:`"cpu"`)

    Returns:
        torch.dtype, optional: What to hand to :func:`product`.

    Example:
        >>> import torch
        >>> narrow_dtype() in (None, torch.bfloat16)
        True
    """
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    told: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions do not tell
    return torch.bfloat16 if any(told.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else None


@functools.cache
def medium_is_exact() -> bool:
    """Whether a product at "medium" is as close to float64 as float32 can be, on this machine."""
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 512, generator=generator), torch.randn(512, 256, generator=generator)
    exact = a.double() @ b.double()
    torch.set_float32_matmul_precision("medium")
    try:
        error = ((a @ b).double() - exact).norm() / exact.norm()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < TOLERANCE)
