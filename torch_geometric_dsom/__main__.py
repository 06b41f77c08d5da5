"""``python -m torch_geometric_dsom`` is the command line."""

from torch_geometric_dsom.cli import main

main()
