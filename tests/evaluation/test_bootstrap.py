import pytest
import torch

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation import BootstrapResult, paired_bootstrap


def draw(seed, count=400):
    return torch.randint(1, 20, (count,), generator=torch.Generator().manual_seed(seed)).double()


def test_interval_of_a_known_case():
    # gains are 1/2 or 0 with equal shares: the mean of M draws has standard deviation 1 / (4 sqrt(M))
    ranks_a = torch.ones(400)
    ranks_b = torch.tensor([1.0, 2.0]).repeat(200)
    result = paired_bootstrap(ranks_a, ranks_b)
    assert isinstance(result, BootstrapResult)
    assert result.difference == pytest.approx(0.25)
    assert result.low == pytest.approx(0.25 - 1.96 / 80, abs=1e-3)
    assert result.high == pytest.approx(0.25 + 1.96 / 80, abs=1e-3)
    assert result.p_value == pytest.approx(2 / 10_001)


def test_sides_change_with_the_order():
    forth, back = paired_bootstrap(draw(0), draw(1), 500), paired_bootstrap(draw(1), draw(0), 500)
    assert forth.difference == pytest.approx(-back.difference)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p_value == back.p_value


def test_same_ranks_are_no_difference():
    assert tuple(paired_bootstrap(draw(0), draw(0), 100)) == (0.0, 0.0, 0.0, 1.0)


def test_pairing_finds_what_is_small_but_steady():
    ranks, order = draw(2), torch.randperm(400, generator=torch.Generator().manual_seed(0))
    worse = torch.where(ranks > 5, ranks + 1, ranks)
    paired, unpaired = paired_bootstrap(ranks, worse, 500), paired_bootstrap(ranks, worse[order], 500)
    assert paired.difference == pytest.approx(unpaired.difference)
    assert paired.p_value < 0.01 < 0.1 < unpaired.p_value
    assert paired.high - paired.low < 0.1 * (unpaired.high - unpaired.low)


def test_draws_are_the_callers_and_the_global_generator_is_untouched():
    before = torch.get_rng_state()
    runs = [paired_bootstrap(draw(0), draw(3), 300, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert torch.equal(before, torch.get_rng_state())


def test_chunks_are_one_stream():
    many = paired_bootstrap(draw(0, 5000), draw(3, 5000), 300)  # 1.5 million draws: two chunks
    assert many.low < many.difference < many.high


@pytest.mark.parametrize("size", [(2, 3), (0, 0)])
def test_unpaired_ranks_are_refused(size):
    with pytest.raises(DataError, match="ranks_a, ranks_b"):
        paired_bootstrap(*(torch.ones(n) for n in size))


def test_unsound_arguments_are_refused():
    with pytest.raises(DataError, match=r"ranks_b: expected finite numbers from 1, got 0\.0"):
        paired_bootstrap(torch.ones(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ConfigError, match="num_samples: expected a positive number, got 0"):
        paired_bootstrap(torch.ones(2), torch.ones(2), num_samples=0)
