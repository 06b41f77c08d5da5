"""Pre-trained encoders of pictures and texts whose weights come inside packages: nothing is fetched at run time."""

from torch_geometric_dsom.encoders.efficientnet import EfficientNetLite0
from torch_geometric_dsom.encoders.minilm import MiniLM

__all__ = ["EfficientNetLite0", "MiniLM"]
