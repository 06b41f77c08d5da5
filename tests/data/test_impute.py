import pytest
import torch

from torch_geometric_dsom.data import ImputeModality
from torch_geometric_dsom.errors import ConfigError


def by_hand(data, method):
    x, mask = data.x_image, data.image_mask
    mean = sum(x[i] for i in range(60) if mask[i]) / int(mask.sum())
    rows = []
    for i in range(60):
        if mask[i]:
            rows.append(x[i])
        elif method == "zero":
            rows.append(torch.zeros(8))
        elif method == "mean":
            rows.append(mean)
        else:
            near = set()
            for h, t in data.edge_index.T.tolist():
                near |= ({t} if h == i else set()) | ({h} if t == i else set())
            near = [j for j in near - {i} if mask[j]]
            rows.append(sum(x[j] for j in near) / len(near) if near else mean)
    return torch.stack(rows)


@pytest.mark.parametrize("method", ["zero", "mean", "neighbors"])
def test_equals_a_loop(small_graph, method):
    filled = ImputeModality(method)(small_graph)
    assert torch.allclose(filled.x_image, by_hand(small_graph, method), atol=1e-5)
    assert filled.image_mask.all()
    assert not small_graph.image_mask.all()  # the graph itself stays as it is
    assert torch.equal(filled.x_text, small_graph.x_text)


def test_normal_has_the_moments_and_its_own_generator(small_graph):
    before = torch.get_rng_state()
    data = small_graph.clone()
    g = torch.Generator().manual_seed(0)
    data.x_image = torch.randn(60, 400, generator=g) * 3 + 2
    one, same, other = (ImputeModality("normal", seed=seed)(data).x_image for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    drawn = one[~data.image_mask]
    assert drawn.mean().item() == pytest.approx(2.0, abs=0.2)
    assert drawn.std().item() == pytest.approx(3.0, abs=0.3)


def test_named_modalities_alone_are_filled(small_graph):
    filled = ImputeModality("mean", names=["text"])(small_graph)
    assert torch.equal(filled.image_mask, small_graph.image_mask)
    with pytest.raises(ConfigError, match=r"names: expected modalities of the graph, .* got 'sound'"):
        ImputeModality("mean", names=["sound"])(small_graph)
    with pytest.raises(ConfigError, match="method: expected one of .* got 'median'"):
        ImputeModality("median")
    assert repr(ImputeModality("mean")) == "ImputeModality('mean')"


def test_where_nobody_has_it_there_are_zeros(small_graph):
    data = small_graph.clone()
    data.image_mask = torch.zeros(60, dtype=torch.bool)
    for method in ("mean", "normal", "neighbors"):
        assert ImputeModality(method)(data).x_image.abs().sum() == 0
