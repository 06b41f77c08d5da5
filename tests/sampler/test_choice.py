import torch

from torch_geometric_dsom.sampler import TeacherChoice, combine_logits, mixture_weights


def make(shares=None):
    action = torch.tensor([[True, False, True], [False, False, False]])
    return TeacherChoice(action, torch.zeros(2), torch.zeros(2, 4), torch.ones(2, 3, dtype=torch.bool), shares)


def test_mixture_averages_the_chosen():
    assert make().mixture.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]
    shares = torch.tensor([[3.0, 9.0, 1.0], [1.0, 1.0, 1.0]])
    assert make(shares).mixture.tolist() == [[0.75, 0.0, 0.25], [0.0, 0.0, 0.0]]
    assert make(shares).weight.tolist() == [1.0, 0.0]


def test_combine_uses_the_shares():
    logits = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([[3.0, 9.0, 1.0], [1.0, 1.0, 1.0]])
    prob = logits.div(2.0).softmax(-1)
    expected = 2.0 * (0.75 * prob[0, 0] + 0.25 * prob[2, 0]).log()
    combined = make(shares).combine(logits, 2.0)
    assert torch.allclose(combined[0], expected, atol=1e-6)
    assert torch.equal(combined[1], torch.zeros(5))
    assert torch.equal(make().combine(logits, 2.0), combine_logits(logits, make().action, 2.0))


def test_rows_repeat():
    shares = torch.tensor([[3.0, 9.0, 1.0], [1.0, 1.0, 1.0]])
    twice = make(shares).rows(torch.tensor([1, 0, 0]))
    assert twice.action.tolist() == [[False] * 3, [True, False, True], [True, False, True]]
    assert twice.mixture[2].tolist() == [0.75, 0.0, 0.25]
    assert make().rows(torch.tensor([0])).shares is None


def test_mixture_weights_of_weights():
    assert mixture_weights(torch.tensor([[2.0, 6.0], [0.0, 0.0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_choices_of_batches_one_after_the_other():
    shares = torch.tensor([[3.0, 9.0, 1.0], [1.0, 1.0, 1.0]])
    for parts in ([make()], [make(), make()], [make(shares), make(shares)]):
        whole = TeacherChoice.cat(parts)
        assert torch.equal(whole.mixture, torch.cat([part.mixture for part in parts]))
        assert len(whole.state) == len(whole.log_prob) == len(whole.available) == 2 * len(parts)
