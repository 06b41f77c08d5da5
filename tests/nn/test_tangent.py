import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import SCORERS, score_tangent


@pytest.mark.parametrize("name", SCORERS)
def test_equals_a_finite_difference(name):
    g = torch.Generator().manual_seed(0)
    model = SCORERS[name](6, 2, rank=3, init_scale=0.7, generator=g).double()
    head, rel = torch.tensor([0, 5, 2]), torch.tensor([3, 0, 1])
    direction = {n: torch.randn(p.shape, generator=g, dtype=torch.float64) for n, p in model.named_parameters()}
    found = score_tangent(model, head, rel, direction)
    epsilon = 1e-6
    scores = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.add_(sign * epsilon * direction[n])
            scores.append(model.score_tails(head, rel))
            for n, p in model.named_parameters():
                p.sub_(sign * epsilon * direction[n])
    assert torch.allclose(found, (scores[0] - scores[1]) / (2 * epsilon), atol=1e-6)


def test_what_is_left_out_stands_still():
    model = SCORERS["distmult"](3, 1, rank=2, init_scale=0.7)
    head, rel = torch.tensor([0]), torch.tensor([0])
    found = score_tangent(model, head, rel, {"relation": model.relation.detach()})
    assert torch.allclose(found, model.score_tails(head, rel))  # the score is linear in the relation
    with pytest.raises(ConfigError, match="relatoin"):
        score_tangent(model, head, rel, {"relatoin": model.relation.detach()})
