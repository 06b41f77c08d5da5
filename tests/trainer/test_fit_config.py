import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import narrow_dtype
from torch_geometric_dsom.trainer import FitConfig
from torch_geometric_dsom.trainer.fit_config import product_dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({name: 0}, f"{name}: expected a positive number, got 0")
            for name in ("epochs", "batch_size", "max_facts", "evaluate_every", "patience", "workspace_bytes")
        ),
        ({"max_batches": 0}, "max_batches: expected a positive number or None, got 0"),
        ({"optimizer": "sgd"}, "optimizer: expected one of .*'adam', 'adagrad'.*, got 'sgd'"),
        ({"dtype": "float16"}, "dtype: expected one of .*'float32', 'bfloat16'.*, got 'float16'"),
        ({"lr": 0.0}, "lr: expected a positive number, got 0.0"),
        ({"lr": float("nan")}, "lr: expected a positive number, got nan"),
        ({"n3": -0.1}, "n3: expected zero or a positive number, got -0.1"),
        ({"relation_prediction": float("nan")}, "relation_prediction: expected zero or a positive number, got nan"),
    ],
)
def test_a_number_out_of_range_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        FitConfig(**options)


def test_products_are_computed_in_the_dtype_of_a_name():
    assert product_dtype("float32") is None  # as the tensors are
    assert product_dtype("bfloat16") is torch.bfloat16
    assert product_dtype("auto", "cpu") == narrow_dtype("cpu")
