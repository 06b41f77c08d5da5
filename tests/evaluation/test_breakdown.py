import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import BREAKDOWNS, Breakdown, Bucket, RankingResult, breakdown, evaluate
from torch_geometric_dsom.nn import ComplEx


def graph():
    """Entity 0 is in no training fact, 1 in one, 2 in one and 3 in twelve; 1 has a picture, 1 and 3 have a text."""
    tails = [1, 2, *range(4, 14)]
    data = Data(num_nodes=14, num_relations=2)
    data.edge_index = torch.tensor([[3] * 12, tails])
    data.edge_type = torch.tensor([0] * 12)
    data.test_edge_index = torch.tensor([[0, 3], [3, 1]])
    data.test_edge_type = torch.tensor([0, 1])
    image, text = torch.zeros(14, dtype=torch.bool), torch.zeros(14, dtype=torch.bool)
    image[1], text[[1, 3]] = True, True
    data.x_image, data.image_mask = torch.ones(14, 2), image
    data.x_text, data.text_mask = torch.ones(14, 2), text
    data.relation_ids, data.relation_labels = ["a", "b"], ["likes", "knows"]
    return data


# (0, r0, 3): tail 1, head 2; (3, r1, 1): tail 4, head 8. Tails first, in the order of the facts.
RESULT = RankingResult(torch.tensor([1.0, 4.0, 2.0, 8.0]), torch.tensor([1, 1, 0, 0]))


def ranks(parts):
    return {bucket.name: bucket.result.ranks.tolist() for bucket in parts.buckets}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("query_degree", {"0": [1.0], "1-2": [8.0], "10+": [4.0, 2.0]}),
        ("target_degree", {"0": [2.0], "1-2": [4.0], "10+": [1.0, 8.0]}),
        ("query_modalities", {"none": [1.0], "image + text": [8.0], "text": [4.0, 2.0]}),
        ("target_modalities", {"none": [2.0], "image + text": [4.0], "text": [1.0, 8.0]}),
        ("relation", {"likes": [1.0, 2.0], "knows": [4.0, 8.0]}),
    ],
)
def test_by_hand(by, expected):
    parts = breakdown(RESULT, graph(), by)
    assert isinstance(parts, Breakdown)
    assert isinstance(parts.buckets[0], Bucket)
    assert ranks(parts) == expected


@pytest.mark.parametrize("by", BREAKDOWNS)
@pytest.mark.parametrize("directions", [("tail", "head"), ("head", "tail"), ("head",), ("tail",)])
def test_every_query_is_in_one_bucket_and_keeps_its_rank(by, directions, small_graph):
    model = ComplEx(60, 3, rank=4, init_scale=1.0)
    result = evaluate(model, small_graph, "val", directions=directions)
    parts = breakdown(result, small_graph, by, split="val")
    assert sum(bucket.result.count for bucket in parts.buckets) == result.count
    mean = sum(bucket.result.mrr * bucket.result.count for bucket in parts.buckets) / result.count
    assert mean == pytest.approx(result.mrr)
    head, tail = small_graph.val_edge_index.tolist()
    if by == "query_degree":  # an independent loop
        asked = [entity for direction in directions for entity in (head if direction == "tail" else tail)]
        degree = [sum(entity in fact for fact in small_graph.edge_index.T.tolist()) for entity in range(60)]
        middle = sorted(degree[entity] for entity in asked)[len(asked) // 2]
        few = [rank for rank, entity in zip(result.ranks.tolist(), asked, strict=True) if degree[entity] < middle]
        cut = breakdown(result, small_graph, by, split="val", degrees=(0, middle))
        assert [cut[f"0-{middle - 1}"].ranks.tolist(), len(cut.buckets)] == [few, 2]


def test_degrees_as_one_likes():
    assert ranks(breakdown(RESULT, graph(), "query_degree", degrees=(0, 1, 2))) == {
        "0": [1.0],
        "1": [8.0],
        "2+": [4.0, 2.0],
    }
    assert ranks(breakdown(RESULT, graph(), "query_degree", degrees=(0,))) == {"0+": [1.0, 4.0, 2.0, 8.0]}


def test_relations_that_share_a_label_are_told_by_id():
    data = graph()
    data.relation_labels = ["likes", "likes"]
    assert list(ranks(breakdown(RESULT, data, "relation"))) == ["a", "b"]


def test_a_table_and_plain_values():
    parts = breakdown(RESULT, graph(), "relation")
    assert parts["knows"].mrr == pytest.approx((1 / 4 + 1 / 8) / 2)
    assert parts.to_dict()["likes"]["both"]["count"] == 2
    assert str(parts).splitlines()[1].split() == ["likes", "0.7500", "0.5000", "1.0000", "2"]
    with pytest.raises(KeyError):
        parts["hates"]


def test_unsound_arguments_are_refused():
    with pytest.raises(ConfigError, match="by: .*got 'degree'"):
        breakdown(RESULT, graph(), "degree")
    for degrees in ((), (1, 2), (0, 2, 2)):
        with pytest.raises(ConfigError, match="degrees: expected rising numbers from 0"):
            breakdown(RESULT, graph(), degrees=degrees)
    with pytest.raises(DataError, match="expected a rank for each of 12 facts of split 'train', got 2"):
        breakdown(RESULT, graph(), split="train")
