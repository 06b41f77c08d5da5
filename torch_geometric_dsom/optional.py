"""Packages that only an extra installs, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from torch_geometric_dsom.errors import MissingPackageError


def require(module: str, extra: str, user: str) -> Any:
    """Imports a module that comes with an extra of this package.

    Args:
        module (str): Name of the module.
        extra (str): The extra which installs it.
        user (str): What needs it, for the message.

    Returns:
        ModuleType: The module.

    Raises:
        MissingPackageError: If it is not installed, an ImportError; the message says what to install.

    Example:
        >>> require("math", extra="image", user="nobody").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{user} needs the module '{module}', which could not be imported ({error}); "
            f"to install it: pip install 'torch_geometric_dsom[{extra}]'",
            name=module,
        ) from error
