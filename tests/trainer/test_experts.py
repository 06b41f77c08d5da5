import torch

from torch_geometric_dsom.nn import ComplEx, ModalityTeacher
from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.experts import availability, make_experts


def test_one_expert_for_structure_and_one_for_each_modality(small_graph):
    experts = make_experts(small_graph, DSoMConfig(rank=4), lambda name: torch.Generator().manual_seed(0))
    assert list(experts) == ["structure", "image", "text"]
    assert isinstance(experts["structure"], ComplEx)
    assert all(isinstance(experts[name], ModalityTeacher) for name in ("image", "text"))
    # Only the entities without a picture have a vector of their own in the expert for pictures.
    assert experts["image"].entity.size(0) == int((~small_graph.image_mask).sum())
    assert experts["text"].entity.size(0) == 0


def test_a_teacher_of_a_modality_is_asked_only_where_it_is(small_graph):
    available = availability(small_graph, {"structure": None, "image": None, "fused": None})
    assert torch.equal(available[:, 1], small_graph.image_mask)
    assert available[:, [0, 2]].all()
