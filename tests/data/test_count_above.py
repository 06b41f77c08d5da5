"""Counts by views of rows are those of a comparison with every score, on every device and for every dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.data.count_above import _count_on_device, count_above


@given(st.integers(0, 7), st.integers(1, 9), st.integers(0, 6), st.sampled_from([torch.float32, torch.float64]))
def test_counts_are_those_of_loops(rows, columns, values, dtype):
    g = torch.Generator().manual_seed(rows + 10 * columns + 100 * values)
    scores = torch.randint(3, (max(rows, 1), columns), generator=g).to(dtype)  # ties
    row = torch.randint(len(scores), (values,), generator=g)
    value = torch.randint(3, (values,), generator=g).to(dtype)
    for count in (count_above, _count_on_device):
        above, not_below = count(scores, row, value)
        pairs = list(zip(row.tolist(), value.tolist(), strict=True))
        assert above.tolist() == [sum(x > v for x in scores[r].tolist()) for r, v in pairs]
        assert not_below.tolist() == [sum(x >= v for x in scores[r].tolist()) for r, v in pairs]


def test_views_that_are_not_contiguous_and_narrow_scores():
    scores = torch.tensor([[1.0, 3.0], [2.0, 3.0], [2.0, 0.0]], dtype=torch.bfloat16)
    above, not_below = count_above(scores.T, torch.tensor([0, 1]), torch.tensor([2.0, 1.0], dtype=torch.bfloat16))
    assert above.tolist() == [0.0, 2.0]
    assert not_below.tolist() == [2.0, 2.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_counts_on_a_gpu():
    scores = torch.tensor([[3.0, 2.0, 2.0]], device="cuda")
    above, not_below = count_above(scores, torch.tensor([0], device="cuda"), torch.tensor([2.0], device="cuda"))
    assert (above.item(), not_below.item()) == (1.0, 3.0)
