import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ModalityTeacher, standardize

MASK = torch.tensor([True, True, True, False])


def make(**kwargs):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(0)
    return ModalityTeacher(
        {"image": x}, {"image": MASK}, 2, **{"rank": 3, "hidden_dim": 5, "generator": generator, **kwargs}
    )


def test_standardize_centres_over_present_rows_and_scales_to_unit_length():
    x = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 6.0], [50.0, 50.0]])
    out = standardize(x, MASK)  # mean of the first three: (2, 2)
    expected = torch.tensor([[-1.0, -2.0], [1.0, -2.0], [0.0, 4.0]])
    assert torch.allclose(out[:3], expected / expected.norm(dim=-1, keepdim=True))
    assert torch.equal(out[3], torch.zeros(2))


def test_standardize_of_a_modality_nobody_has_is_zero():
    assert torch.equal(standardize(torch.ones(2, 3), torch.zeros(2, dtype=torch.bool)), torch.zeros(2, 3))


def test_structure_parts_go_where_they_are_asked_for():
    for structure, free in (("missing", [3]), ("all", [0, 1, 2, 3]), ("none", [])):
        teacher = make(structure=structure)
        assert teacher.row_free.tolist() == free
        expected = torch.zeros(4, 6)
        expected[:3] = teacher.project["image"](teacher.x_image)
        expected[free] += teacher.entity
        assert torch.allclose(teacher.entity_table(), expected)


def test_linear_projection_by_hand():
    teacher = make(structure="none", hidden_dim=0)
    x = standardize(torch.randn(4, 6, generator=torch.Generator().manual_seed(3)), MASK)
    assert torch.allclose(teacher.entity_table(), x @ teacher.project["image"][0].weight.T)


def test_two_modalities_add_up_and_only_what_has_none_is_free():
    g = torch.Generator().manual_seed(0)
    features = {"image": torch.rand(4, 3, generator=g), "text": torch.rand(4, 5, generator=g)}
    masks = {"image": torch.tensor([True, True, False, False]), "text": torch.tensor([False, True, True, False])}
    teacher = ModalityTeacher(features, masks, 2, rank=2)
    image, text = (teacher.project[name](getattr(teacher, f"x_{name}")) for name in ("image", "text"))
    expected = torch.stack([image[0], image[1] + text[0], text[1], teacher.entity[0]])
    assert torch.allclose(teacher.entity_table(), expected)


def test_missing_feature_rows_do_not_matter():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    other = x.clone()
    other[3] = 99.0
    tables = [
        ModalityTeacher(
            {"image": v}, {"image": MASK}, 2, rank=3, generator=torch.Generator().manual_seed(0)
        ).entity_table()
        for v in (x, other)
    ]
    assert torch.equal(*tables)


def test_freeze_projects_once_and_scores_alike():
    teacher = make(dropout=0.4)
    frozen = teacher.freeze()
    head, rel = torch.tensor([0, 3]), torch.tensor([1, 2])
    assert torch.allclose(frozen.score_tails(head, rel), teacher.eval().score_tails(head, rel))
    assert {name for name, _ in frozen.named_parameters()} == {"entity", "relation"}


def test_features_are_not_saved_with_the_weights():
    assert not any(key.startswith(("x_", "row_")) for key in make().state_dict())


def test_from_data_takes_features_and_masks():
    data = Data(x_image=torch.rand(4, 6), image_mask=MASK, num_nodes=4, num_relations=2)
    teacher = ModalityTeacher.from_data(data, ["image"], rank=3)
    assert torch.equal(teacher.x_image, standardize(data.x_image, MASK)[MASK])
    with pytest.raises(ConfigError, match="x_text"):
        ModalityTeacher.from_data(data, ["text"])


def test_gradients_reach_projection_structure_and_relations():
    teacher = make()
    teacher(torch.tensor([0]), torch.tensor([1]), torch.tensor([3])).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in teacher.parameters())


@pytest.mark.parametrize(
    ("features", "masks", "kwargs", "match"),
    [
        ({}, {}, {}, "features"),
        ({"a": torch.rand(4, 2)}, {"b": MASK}, {}, "same modalities"),
        ({"a": torch.rand(4, 2)}, {"a": MASK[:3]}, {}, r"\[4, 2\] and \[3\]"),
        ({"a": torch.rand(4)}, {"a": MASK}, {}, "features"),
        ({"a": torch.rand(4, 2)}, {"a": MASK}, {"hidden_dim": -1}, "hidden_dim"),
        ({"a": torch.rand(4, 2)}, {"a": MASK}, {"structure": "some"}, "structure.*'some'"),
        ({"a": torch.rand(4, 2)}, {"a": MASK}, {"dropout": -0.1}, "dropout"),
    ],
)
def test_bad_arguments_are_named(features, masks, kwargs, match):
    with pytest.raises(ConfigError, match=match):
        ModalityTeacher(features, masks, 2, **kwargs)


def test_mapped_features_and_some_rows_are_what_kept_ones_give(monkeypatch):
    monkeypatch.setattr("torch_geometric_dsom.nn.modality_teacher.CHUNK", 4)
    g = torch.Generator().manual_seed(0)
    features = {"image": torch.randn(11, 6, generator=g), "text": torch.randn(11, 3, generator=g)}
    masks = {"image": torch.arange(11) % 3 == 0, "text": torch.arange(11) % 4 == 0}
    kept = ModalityTeacher(features, masks, num_relations=2, rank=2, hidden_dim=4)
    mapped = ModalityTeacher(features, masks, num_relations=2, rank=2, hidden_dim=4, mapped=True)
    assert not any(name.startswith("x_") for name, _ in mapped.named_buffers())
    table = kept.entity_table()
    with torch.no_grad():
        chunks = mapped.entity_table()
    assert torch.allclose(mapped.entity_table(), table, atol=1e-6)
    assert torch.allclose(chunks, table, atol=1e-6)
    index = torch.tensor([9, 0, 0, 10, 4])
    assert torch.allclose(mapped.entity_rows(index), table[index], atol=1e-6)
    assert torch.allclose(mapped.cut(slice(4, 11)).entity_table(), table[4:], atol=1e-6)
    assert torch.allclose(mapped.freeze().entity, table, atol=1e-6)
    weight = torch.randn(5, 4, generator=g)
    (mapped.entity_rows(index) * weight).sum().backward()
    (table[index] * weight).sum().backward()
    for name, value in kept.named_parameters():
        other = dict(mapped.named_parameters())[name]
        if value.grad is not None:
            assert torch.allclose(other.grad, value.grad, atol=1e-6), name
