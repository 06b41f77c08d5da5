import pytest

from torch_geometric_dsom import CheckpointError, ConfigError, DataError, DSoMError, NonFiniteError


@pytest.mark.parametrize("error", [CheckpointError, ConfigError, DataError, NonFiniteError])
def test_one_tree_and_the_builtin_kin(error):
    assert issubclass(error, DSoMError)
    kin = {
        CheckpointError: RuntimeError,
        ConfigError: ValueError,
        DataError: ValueError,
        NonFiniteError: ArithmeticError,
    }
    assert issubclass(error, kin[error])
