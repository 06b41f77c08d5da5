"""Stops a fit whose loss or gradients are not finite, and tells where it began."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import NonFiniteError


class FiniteGuard:
    """Looks at losses and gradients: at once on CPU; on an accelerator, which would wait, at the end of the epoch.

    Args:
        model (nn.Module): Whose gradients are looked at.
        phase (str): Name of the fit.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1)
        >>> model.weight.grad = torch.full((1, 1), torch.inf)
        >>> try:
        ...     FiniteGuard(model, "student").gradients(epoch=2, batch=5)
        ... except NonFiniteError as error:
        ...     print(error)
        student: gradient of 'weight' became inf in epoch 2, batch 5; lower the learning rate
    """

    def __init__(self, model: nn.Module, phase: str) -> None:
        self.parameters = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        self.phase = phase
        self.waits = any(value.device.type != "cpu" for _, value in self.parameters)
        self._seen: list[tuple[int, list[str], Tensor]] = []

    @contextmanager
    def place(self, epoch: int, batch: int | None = None, hint: str = "") -> Iterator[None]:
        """Tells where it was, if something inside finds a value that is not finite, and which parameters are not.

        Args:
            epoch (int): The epoch.
            batch (int, optional): The batch; that of a validation if :obj:`None`.
            hint (str): What to tell besides. (default: :obj:`""`)

        Raises:
            NonFiniteError: The same with the place.
        """
        try:
            yield
        except NonFiniteError as error:
            where = "validation" if batch is None else f"batch {batch}"
            broken = [name for name, value in self.parameters if not bool(value.detach().isfinite().all())]
            which = f"; parameters that are not finite: {broken}" if broken else ""
            raise NonFiniteError(f"{self.phase}: {error}, in epoch {epoch}, {where}{which}{hint}") from error

    def loss(self, loss: Tensor, epoch: int, batch: int, hint: str = "") -> None:
        """Looks at a loss.

        Raises:
            NonFiniteError: If it is NaN or infinite.
        """
        self._look(["loss"], [loss.detach()], epoch, batch, hint)

    def gradients(self, epoch: int, batch: int, hint: str = "") -> None:
        """Looks at the gradients of all parameters.

        Raises:
            NonFiniteError: If one is NaN or infinite.
        """
        there = [(name, value.grad) for name, value in self.parameters if value.grad is not None]
        # A value that is not finite stays so in a sum, which costs a fiftieth of a maximum. A sum of finite values that
        # overflows is worth stopping as well; half floats are summed as float32, else many small ones would.
        sums = [grad.sum(dtype=torch.promote_types(grad.dtype, torch.float32)).abs() for _, grad in there]
        self._look([f"gradient of '{name}'" for name, _ in there], sums, epoch, batch, hint)

    def epoch_done(self, epoch: int, hint: str = "") -> None:
        """Looks at what was put off.

        Raises:
            NonFiniteError: If a loss or gradient of the epoch was NaN or infinite; names the first.
        """
        seen, self._seen = self._seen, []
        if seen:
            values = torch.cat([value for *_, value in seen]).tolist()
            batches = [(batch, name) for batch, names, _ in seen for name in names]
            for (batch, name), value in zip(batches, values, strict=True):
                self._check(name, value, epoch, batch, hint)

    def _look(self, names: list[str], values: list[Tensor], epoch: int, batch: int, hint: str) -> None:
        if self.waits:
            self._seen.append((batch, names, torch.stack(values)))
            return
        for name, value in zip(names, values, strict=True):
            self._check(name, value.item(), epoch, batch, hint)

    def _check(self, name: str, value: float, epoch: int, batch: int, hint: str) -> None:
        if not math.isfinite(value):
            raise NonFiniteError(
                f"{self.phase}: {name} became {value} in epoch {epoch}, batch {batch}; lower the learning rate{hint}"
            )
