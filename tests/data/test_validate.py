import json

import pytest
import torch
from torch_geometric.data import Data, HeteroData

from torch_geometric_dsom.data import ModalityReport, ValidationReport, validate
from torch_geometric_dsom.errors import DataError


def graph(**changes: object) -> Data:
    """Six entities, two relations; entity 5 is not in training."""
    attributes = {
        "edge_index": torch.tensor([[0, 0, 1, 2, 3], [1, 1, 2, 2, 4]]),
        "edge_type": torch.tensor([0, 0, 1, 0, 1]),  # a repeated fact, and 2 -> 2
        "val_edge_index": torch.tensor([[0, 4], [1, 5]]),
        "val_edge_type": torch.tensor([0, 1]),  # the first is in training
        "test_edge_index": torch.tensor([[1, 4, 5, 0], [0, 5, 0, 3]]),
        "test_edge_type": torch.tensor([1, 1, 0, 0]),  # 1 -> 0 is an inverse of 0 -> 1; 4 -> 5 is in validation
        "num_nodes": 6,
        "num_relations": 2,
        "x_image": torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
        "image_mask": torch.tensor([True, True, False, False, False, False]),
        "entity_ids": list("abcdef"),
        "entity_labels": list("ABCDEF"),
        "relation_ids": ["r", "s"],
        "relation_labels": ["R", "S"],
    }
    attributes.update(changes)
    return Data(**{name: value for name, value in attributes.items() if value is not ...})


def test_counts_by_hand() -> None:
    report = validate(graph())
    assert report.ok
    assert (report.num_entities, report.num_relations) == (6, 2)
    assert report.facts == {"train": 5, "val": 2, "test": 4}
    assert report.duplicates == {"train": 1, "val": 0, "test": 0}
    assert report.self_loops == {"train": 1, "val": 0, "test": 0}
    assert report.overlap == {"train/val": 1, "train/test": 0, "val/test": 1}
    assert report.inverse_leakage == 0.25
    assert report.unseen_entities == 1
    assert report.unseen_test_facts == 2
    assert isinstance(report, ValidationReport)
    image = report.modalities["image"]
    assert isinstance(image, ModalityReport)
    assert (image.dim, image.entities, image.zero_rows, image.stray_rows) == (2, 2, 1, 1)
    assert image.coverage == pytest.approx(1 / 3)


def test_report_is_readable_and_fit_for_json() -> None:
    report = validate(graph())
    content = json.loads(json.dumps(report.to_dict()))
    assert content["ok"] is True
    assert content["modalities"]["image"]["entities"] == 2
    text = str(report)
    for piece in ("6, 1 of them not in training", "train 5, val 2, test 4", "25.0%", "2 entities (33.3%)"):
        assert piece in text


def test_held_out_facts_modalities_and_labels_may_be_absent() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=2, num_relations=1)
    data.train_mask = torch.ones(2, dtype=torch.bool)  # PyG's own, no modality
    report = validate(data)
    assert report.facts == {"train": 1, "val": 0, "test": 0}
    assert report.inverse_leakage == 0.0
    assert report.modalities == {}
    assert "test facts       0" in str(report)


NAN = torch.zeros(6, 2).index_put((torch.tensor([3, 4]), torch.tensor([1, 0])), torch.tensor(torch.nan))
BROKEN = [
    ({"edge_index": ...}, r"data\.edge_index: expected an attribute, found none"),
    ({"num_nodes": ...}, r"data\.num_nodes: expected an attribute, found none"),
    ({"num_relations": 0}, r"data\.num_relations: expected a positive int, got 0"),
    ({"edge_index": torch.zeros(2, 5)}, r"data\.edge_index: expected an int64 tensor \[2, E\], got torch\.float32"),
    ({"edge_index": [[0], [1]]}, r"data\.edge_index: expected an int64 tensor \[2, E\], got list"),
    (
        {"edge_index": torch.zeros(5, 2, dtype=torch.int64)},
        r"data\.edge_index: expected the shape \[2, E\], got \[5, 2\]",
    ),
    ({"edge_type": torch.zeros(5, 1, dtype=torch.int64)}, r"data\.edge_type: expected the shape \[E\], got \[5, 1\]"),
    ({"edge_type": torch.tensor([0, 1])}, r"data\.edge_type: expected 5 relations as in edge_index, got 2"),
    (
        {"num_nodes": 4, "x_image": ..., "image_mask": ...},
        r"data\.edge_index\[1, 4\]: expected an entity in \[0, 4\), got 4",
    ),
    ({"edge_type": torch.tensor([0, 0, -1, 0, 2])}, r"data\.edge_type\[2\]: expected a relation in \[0, 2\), got -1"),
    (
        {"test_edge_type": torch.tensor([0, 5, 0, 0])},
        r"data\.test_edge_type\[1\]: expected a relation in \[0, 2\), got 5",
    ),
    ({"val_edge_type": ...}, r"data\.val_edge_type: expected an attribute beside val_edge_index"),
    (
        {"edge_index": torch.zeros(2, 0, dtype=torch.int64), "edge_type": torch.zeros(0, dtype=torch.int64)},
        r"data\.edge_index: expected at least one training fact, got none",
    ),
    ({"x_image": torch.zeros(5, 2)}, r"data\.x_image: expected the shape \[6, D\], a row an entity, got \[5, 2\]"),
    ({"x_image": torch.zeros(6)}, r"data\.x_image: expected the shape \[6, D\]"),
    (
        {"x_image": torch.zeros(6, 2).long()},
        r"data\.x_image: expected a floating point tensor \[6, D\], got torch\.int64",
    ),
    ({"x_image": NAN}, r"data\.x_image\[3\]: expected finite features, got NaN or infinity"),
    ({"image_mask": ...}, r"data\.image_mask: expected a mask beside x_image, found none"),
    ({"x_image": ...}, r"data\.image_mask: expected features x_image beside the mask, found none"),
    ({"image_mask": torch.ones(6)}, r"data\.image_mask: expected a bool tensor \[6\], got torch\.float32"),
    ({"image_mask": torch.ones(6, 1, dtype=torch.bool)}, r"data\.image_mask: expected the shape \[6\], got \[6, 1\]"),
    ({"entity_labels": ["A"]}, r"data\.entity_labels: expected 6 str, got 1"),
    ({"relation_ids": ["r", 7]}, r"data\.relation_ids\[1\]: expected a str, got 7"),
    ({"relation_ids": "rs"}, r"data\.relation_ids: expected a list of 2 str, got str"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN, ids=[message[:60] for _, message in BROKEN])
def test_what_breaks_the_contract_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        validate(graph(**changes))


def test_not_a_graph() -> None:
    with pytest.raises(DataError, match=r"expected a torch_geometric\.data\.Data, got HeteroData"):
        validate(HeteroData())


def test_without_strict_all_errors_are_listed() -> None:
    report = validate(graph(edge_type=torch.tensor([0, 0, 9, 0, 0]), x_image=NAN, entity_ids=[]), strict=False)
    assert not report.ok
    assert [error.split(":")[0] for error in report.errors] == [
        "data.edge_type[2]",
        "data.x_image[3]",
        "data.entity_ids",
    ]
    assert str(report).startswith("3 error(s):")
    assert report.to_dict()["ok"] is False


def test_validation_changes_nothing() -> None:
    data = graph()
    before = {name: value.clone() for name, value in data.to_dict().items() if isinstance(value, torch.Tensor)}
    validate(data)
    assert all(torch.equal(data[name], value) for name, value in before.items())
