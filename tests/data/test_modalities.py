import torch
from torch_geometric.data import Data

from torch_geometric_dsom.data.modalities import modalities


def test_image_and_text_come_first() -> None:
    x = torch.zeros(1, 1)
    assert modalities(Data(x_zoo=x, x_text=x, x_audio=x, x_image=x)) == ["image", "text", "audio", "zoo"]


def test_only_x_underscore_counts() -> None:
    assert modalities(Data(x=torch.zeros(1, 1), text_mask=torch.ones(1, dtype=torch.bool))) == []
    assert modalities(Data()) == []


def test_a_name_may_hold_underscores() -> None:
    assert modalities(Data(x_image_clip=torch.zeros(1, 1))) == ["image_clip"]
