import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.errors import DataError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import ComplEx, ModalityTeacher
from torch_geometric_dsom.trainer import DSoMConfig, FitConfig, fit_expert
from torch_geometric_dsom.trainer.experts import availability, expert_fit, make_experts, reflexive


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


def test_relations_that_relate_an_entity_to_itself_in_training():
    data = Data(edge_index=torch.tensor([[0, 1, 2], [0, 2, 1]]), edge_type=torch.tensor([2, 0, 2]), num_relations=3)
    data.val_edge_index, data.val_edge_type = torch.tensor([[1], [1]]), torch.tensor([0])  # is not read
    assert reflexive(data).tolist() == [False, False, True] * 2


def test_a_teacher_in_one_call_learns_and_is_frozen(small_graph):
    before = torch.get_rng_state()
    expert = ModalityTeacher.from_data(small_graph, ["text"], rank=16, hidden_dim=32)
    config = FitConfig(batch_size=64, max_facts=1, lr=5e-3)
    weak = fit_expert(ModalityTeacher.from_data(small_graph, ["text"], rank=16, hidden_dim=32), small_graph, epochs=1)
    teacher = fit_expert(expert, small_graph, epochs=40, config=config, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert evaluate(teacher, small_graph).mrr > max(0.3, evaluate(weak, small_graph).mrr)


def test_more_structural_experts_and_one_that_sees_everything(small_graph):
    seeds = iter(range(10))
    config = DSoMConfig(rank=4, structure_experts=2, joint_expert=True)
    experts = make_experts(small_graph, config, lambda name: torch.Generator().manual_seed(next(seeds)))
    assert list(experts) == ["structure", "structure2", "image", "text", "joint"]
    assert not torch.equal(experts["structure"].entity, experts["structure2"].entity)
    assert experts["joint"].modalities == ("image", "text")
    assert experts["joint"].entity.size(0) == small_graph.num_nodes
    assert [expert_fit(config, name).optimizer for name in experts] == ["adagrad", "adagrad", "adam", "adam", "adagrad"]
    few = make_experts(small_graph, DSoMConfig(rank=4, modality_experts=False), lambda name: torch.Generator())
    assert list(few) == ["structure"]


def test_a_modality_may_not_have_the_name_of_an_expert(small_graph):
    data = small_graph.clone()
    data.x_fused, data.fused_mask = data.x_text, data.text_mask
    with pytest.raises(DataError, match="'fused' is that of an expert"):
        make_experts(data, DSoMConfig(rank=4), lambda name: torch.Generator())


def test_names_are_those_of_the_experts_that_are_made(small_graph):
    from torch_geometric_dsom.trainer.experts import expert_names

    config = DSoMConfig(rank=2, teacher_hidden=2, structure_experts=2, joint_expert=True)
    made = make_experts(small_graph, config, lambda name: torch.Generator())
    assert expert_names(small_graph, config) == list(made)
