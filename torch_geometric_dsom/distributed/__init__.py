"""Several processes at one piece of work: what they tell each other, and who holds what."""

from torch_geometric_dsom.distributed.lots import rand_rows
from torch_geometric_dsom.distributed.shard import Shard
from torch_geometric_dsom.distributed.world import ALONE, World, join, launched, share_of

__all__ = ["ALONE", "Shard", "World", "join", "launched", "rand_rows", "share_of"]
