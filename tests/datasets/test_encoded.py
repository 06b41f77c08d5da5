import pytest
import torch

from torch_geometric_dsom.datasets.encoded import checked, spread
from torch_geometric_dsom.errors import DataError


def test_what_an_encoder_gives_is_checked():
    good = checked(torch.ones(2, 3, dtype=torch.float16, requires_grad=True), 2, "text_encoder")
    assert good.dtype == torch.float32
    assert not good.requires_grad
    for bad, message in (
        (torch.ones(3, 2), r"text_encoder: expected a tensor \[2, D\], got \[3, 2\]"),
        (torch.ones(2), r"got \[2\]"),
        ([[1.0]], "got list"),
        (torch.tensor([[1.0], [torch.nan]]), "got NaN or infinity in row 1"),
    ):
        with pytest.raises(DataError, match=message):
            checked(bad, 2, "text_encoder")


def test_spread_puts_rows_in_their_places():
    x, mask = spread(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([3, 0]), 4)
    assert x.tolist() == [[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
    assert mask.tolist() == [True, False, False, True]
