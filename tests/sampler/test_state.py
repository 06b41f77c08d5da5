import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import SelectionState, StudentSignals, TeacherSignals


def test_the_state_is_what_the_docstring_says():
    presence = torch.tensor([[True, False], [False, True]])
    state = SelectionState(["image", "text"], presence, torch.tensor([0.0, 3.0]), num_relations=2, query_dim=2)
    teachers = TeacherSignals(*(torch.full((1, 2), float(i)) for i in range(5)))
    student = StudentSignals(torch.tensor([-6.0]), torch.ones(1, 2))
    query = torch.tensor([[3.0, 4.0]], requires_grad=True)
    out = state(query, teachers, student, torch.tensor([1]), torch.tensor([3]), torch.tensor([0]))
    assert out.shape == (1, state.dim)
    assert not out.requires_grad
    assert torch.allclose(out[0, :2], torch.tensor([0.6, 0.8]))
    assert torch.equal(out[:, 2:12], teachers.features())
    assert torch.equal(out[:, 12:15], student.features())
    assert out[0, 15:19].tolist() == [0.0, 1.0, 1.0, 0.0]  # the head has a text, the tail an image
    assert torch.allclose(out[0, 19], torch.tensor(4.0).log() / 5)
    assert out[0, 20:].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_graph_without_modalities_has_a_state_too():
    state = SelectionState(["structure"], torch.empty(3, 0), torch.ones(3), num_relations=1, query_dim=4)
    teachers = TeacherSignals(*(torch.zeros(2, 1) for _ in range(5)))
    student = StudentSignals(torch.zeros(2), torch.zeros(2, 1))
    two = torch.zeros(2, dtype=torch.long)
    assert state(torch.ones(2, 4), teachers, student, two, two, two).shape == (2, state.dim)
    assert repr(state) == "SelectionState(teachers=['structure'], dim=14)"


def test_the_students_query_may_be_left_out():
    shown, hidden = (SelectionState(["a"], torch.ones(3, 1), torch.ones(3), 1, query_dim=dim) for dim in (4, 0))
    teachers = TeacherSignals(*(torch.rand(2, 1) for _ in range(5)))
    student = StudentSignals(torch.rand(2), torch.rand(2, 1))
    facts = torch.ones(2, 4), teachers, student, torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 2])
    assert torch.equal(hidden(*facts), shown(*facts)[:, 4:])


def test_columns_say_where_the_parts_stand():
    presence = torch.tensor([[True, False], [False, True]])
    state = SelectionState(["image", "text"], presence, torch.tensor([0.0, 3.0]), num_relations=2, query_dim=2)
    teachers = TeacherSignals(*(torch.full((1, 2), float(i)) for i in range(5)))
    student = StudentSignals(torch.tensor([-5.0]), torch.full((1, 2), 10.0))
    one = torch.tensor([1])
    out = state(torch.tensor([[3.0, 4.0]]), teachers, student, one, torch.tensor([3]), torch.tensor([0]))[0]
    assert out[state.columns("max_prob")].tolist() == [3.0, 3.0]
    assert out[state.columns("neighbor_mass")].tolist() == [4.0, 4.0]
    assert out[state.columns("student_log_prob")].tolist() == [-1.0]
    assert out[state.columns("divergence")].tolist() == [2.0, 2.0]
    assert out[state.columns("head_presence")].tolist() == [0.0, 1.0]
    assert out[state.columns("relation")].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert state.columns("relation").stop == state.dim
    with pytest.raises(ConfigError, match="name"):
        state.columns("rank")
