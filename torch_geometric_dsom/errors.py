"""The one exception tree of the package: catch :class:`DSoMError` to catch them all."""


class DSoMError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(DSoMError, ValueError):
    """A file, a graph or a tensor that does not keep the data contract; names file and line, or argument and value."""


class ConfigError(DSoMError, ValueError):
    """An argument with a value that cannot be used; names the argument, the value that came and what was expected."""


class NonFiniteError(DSoMError, ArithmeticError):
    """A score, loss or gradient that is NaN or infinite."""


class CheckpointError(DSoMError, RuntimeError):
    """A saved run or student that is missing, damaged or foreign."""


class MemoryBudgetError(DSoMError, MemoryError):
    """A run that needs more memory than there is; names the part, what it needs, what there is and what to lower."""


class MissingPackageError(DSoMError, ImportError):
    """A package that an extra installs is not there; says what to install."""


class WorkerError(DSoMError, RuntimeError):
    """A process of a distributed run that is gone or does not answer."""
