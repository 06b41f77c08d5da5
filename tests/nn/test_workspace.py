import torch

from torch_geometric_dsom.nn import Workspace, piece_rows, rows_within


def test_memory_is_used_again_and_grows_when_it_must():
    memory, like = Workspace(), torch.zeros(1)
    first = memory.room("a", (4, 5), like)
    assert first.shape == (4, 5)
    assert memory.num_bytes == 80
    assert memory.room("a", (2, 3), like).data_ptr() == first.data_ptr()
    assert memory.room("b", (1,), like).data_ptr() != first.data_ptr()
    assert memory.room("a", (5, 5), like).shape == (5, 5)
    assert memory.num_bytes == 104
    assert memory.room("a", (5, 5), like.double()).dtype == torch.float64
    assert memory.num_bytes == 204


def test_rows_within_a_budget():
    assert rows_within(4 * 3 * 100 * 7, slabs=3, num_entities=100) == 7
    assert rows_within(4 * 3 * 100 * 7 - 1, slabs=3, num_entities=100) == 6
    assert rows_within(1, slabs=3, num_entities=100) == 1  # a query at a time is the least there is


def test_pieces_fit_cache_and_budget():
    like = torch.zeros(1)
    assert piece_rows(like, 2, 100, cached_bytes=4 * 2 * 100 * 5, workspace_bytes=1 << 20) == 5
    assert piece_rows(like, 2, 100, cached_bytes=1 << 20, workspace_bytes=4 * 2 * 100 * 5) == 5
    assert piece_rows(like.to("meta"), 2, 100, cached_bytes=1, workspace_bytes=4 * 2 * 100 * 9) == 9  # no such cache
