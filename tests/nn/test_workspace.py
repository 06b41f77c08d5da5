import torch

from torch_geometric_dsom.nn import Workspace


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
