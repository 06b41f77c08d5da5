import pytest
import torch

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ComplEx, Scorer


def make(**kwargs):
    return ComplEx(6, 3, rank=4, init_scale=1.0, generator=torch.Generator().manual_seed(1), **kwargs)


def test_score_is_the_complex_trilinear_form():
    model = make()
    entity = torch.complex(*model.entity.detach().chunk(2, dim=-1))
    relation = torch.complex(*model.relation.detach().chunk(2, dim=-1))
    head, rel = torch.tensor([0, 5, 2]), torch.tensor([0, 4, 1])
    scores = model.score_tails(head, rel)
    for row, (h, r) in enumerate(zip(head, rel, strict=True)):
        for t in range(6):
            expected = (entity[h] * relation[r] * entity[t].conj()).sum().real
            assert scores[row, t].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)


def test_score_equals_pyg_complex():
    from torch_geometric.nn.kge import ComplEx as PyGComplEx

    ours = make()
    theirs = PyGComplEx(6, 6, 4)
    re, im = ours.entity.detach().chunk(2, dim=-1)
    theirs.node_emb.weight.data, theirs.node_emb_im.weight.data = re.clone(), im.clone()
    re, im = ours.relation.detach().chunk(2, dim=-1)
    theirs.rel_emb.weight.data, theirs.rel_emb_im.weight.data = re.clone(), im.clone()
    h, r, t = torch.tensor([0, 3]), torch.tensor([5, 2]), torch.tensor([1, 4])
    assert torch.allclose(ours(h, r, t), theirs(h, r, t), atol=1e-5)


def test_candidates_are_columns_of_all_scores():
    model = make()
    head, rel, some = torch.tensor([1, 2]), torch.tensor([3, 0]), torch.tensor([5, 0, 0])
    # Not to the last bit: how a product is rounded may depend on how many columns it has.
    torch.testing.assert_close(model.score_tails(head, rel, some), model.score_tails(head, rel)[:, some])


def test_forward_scores_the_given_tails():
    model = make()
    head, rel, tail = torch.tensor([1, 2]), torch.tensor([3, 0]), torch.tensor([5, 0])
    expected = model.score_tails(head, rel)[torch.arange(2), tail]
    assert torch.allclose(model(head, rel, tail), expected, atol=1e-5)


def test_penalty_sums_cubed_moduli_of_the_facts():
    model = make()
    head, rel, tail = torch.tensor([1, 2]), torch.tensor([3, 0]), torch.tensor([5, 0])
    expected = 0.0
    for table, rows in ((model.entity, head), (model.relation, rel), (model.entity, tail)):
        re, im = table[rows].chunk(2, dim=-1)
        expected += torch.complex(re, im).detach().abs().pow(3).sum().item() / 2
    assert model.penalty(head, rel, tail).item() == pytest.approx(expected, rel=1e-5)


def test_dropout_acts_in_training_only_and_leaves_the_global_random_state():
    model = make(dropout=0.5)
    head, rel = torch.tensor([1, 2]), torch.tensor([3, 0])
    before = torch.get_rng_state()
    model.train()
    assert not torch.equal(model.score_tails(head, rel), model.score_tails(head, rel))
    model.eval()
    assert torch.equal(model.score_tails(head, rel), model.score_tails(head, rel))
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_keeps_the_mean():
    model = make(dropout=0.3).train()
    x = torch.ones(2000, 50)
    dropped = model.drop(x)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])


def test_freeze_scores_alike_and_carries_no_gradient():
    model = make(dropout=0.5).train()
    frozen = model.freeze()
    assert model.training
    assert not frozen.training
    assert isinstance(frozen, Scorer)
    assert not any(p.requires_grad for p in frozen.parameters())
    head, rel = torch.tensor([1, 2]), torch.tensor([3, 0])
    assert torch.equal(frozen.score_tails(head, rel), model.eval().score_tails(head, rel))
    with torch.no_grad():
        model.entity.add_(1.0)
    assert not torch.equal(frozen.score_tails(head, rel), model.score_tails(head, rel))


def test_reset_parameters_follows_the_generator():
    one, other = make(), make()
    assert torch.equal(one.entity, other.entity)
    one.reset_parameters()
    assert not torch.equal(one.entity, other.entity)


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"num_entities": 0}, "num_entities"),
        ({"num_relations": 0}, "num_relations"),
        ({"rank": -1}, "rank"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_bad_arguments_are_named(kwargs, name):
    with pytest.raises(ConfigError, match=name):
        ComplEx(**{"num_entities": 2, "num_relations": 2, **kwargs})


def test_repr_tells_sizes():
    assert "num_entities=6, num_relations=3" in repr(make())
    assert "ComplExInteraction(rank=4)" in repr(make())
