import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import combine_logits


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_is_tau_times_the_log_of_the_mean_probability(tau):
    g = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(3, 8, 6, generator=g, dtype=torch.float64)
    action = torch.rand(8, 3, generator=g) < 0.6
    action[0] = torch.tensor([True, False, True])
    combined = combine_logits(logits, action, tau)
    for row in range(8):
        chosen = [(logits[k, row] / tau).softmax(-1) for k in range(3) if action[row, k]]
        expected = tau * torch.stack(chosen).mean(0).log() if chosen else torch.zeros(6, dtype=torch.float64)
        assert torch.allclose(combined[row], expected)


def test_extreme_logits_and_empty_sets_stay_finite():
    logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])
    for action in ([[True, True]], [[False, False]], [[True, False]]):
        assert combine_logits(logits, torch.tensor(action)).isfinite().all()


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match=r"\[2, 3, 4\] and \[2, 3\]"):
        combine_logits(torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ConfigError, match="temperature"):
        combine_logits(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool), temperature=0)
