import torch

from torch_geometric_dsom.distributed import rand_rows


def test_parts_have_the_lots_of_the_whole_and_leave_the_generator_alike():
    for dtype in (None, torch.float64):
        g = torch.Generator().manual_seed(5)
        whole = rand_rows((7, 3), g, dtype=dtype)
        after = torch.rand(1, generator=g)
        for start, stop in ((0, 3), (3, 3), (3, 7)):
            g.manual_seed(5)
            part = rand_rows((stop - start, 3), g, (start, 7 - stop), dtype)
            assert torch.equal(part, whole[start:stop])
            assert torch.equal(torch.rand(1, generator=g), after)
