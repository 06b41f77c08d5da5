import pytest
import torch

from torch_geometric_dsom.nn import ComplEx, TransE, Workspace
from torch_geometric_dsom.trainer.scores import Scores

HEAD, RELATION = torch.tensor([0, 3, 3, 7, 1]), torch.tensor([0, 1, 2, 5, 4])


def make(kind):
    g = torch.Generator().manual_seed(0)
    return {"complex": ComplEx, "transe": TransE}[kind](9, 3, rank=4, init_scale=0.7, generator=g)


@pytest.mark.parametrize("kind", ["complex", "transe"])
def test_parts_have_the_values_and_the_gradient_of_the_whole(kind):
    model = make(kind)
    logits = model.score_tails(HEAD, RELATION)
    expected = torch.autograd.grad(logits.pow(3).sum(), (model.entity, model.relation))
    scores = Scores(model, HEAD, RELATION, Workspace())
    assert scores.num_entities == 9
    for rows in (slice(0, 2), slice(2, 5)):
        values = scores.values(rows)
        assert torch.allclose(values, logits[rows], atol=1e-6)
        scores.learn(3 * values.pow(2), rows)
    got = torch.autograd.grad(scores.carry(torch.tensor(1.0)), (model.entity, model.relation))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(got, expected, strict=True))


def test_values_of_one_use_share_memory_and_those_of_another_do_not():
    scores = Scores(make("complex"), HEAD, RELATION, Workspace())
    assert scores.values(slice(0, 2)).data_ptr() == scores.values(slice(2, 4)).data_ptr()
    assert scores.values().data_ptr() != scores.values(use="lesson").data_ptr()


def test_narrow_products_are_near():
    model = make("complex")
    wide, narrow = (
        Scores(model, HEAD, RELATION, Workspace()),
        Scores(model, HEAD, RELATION, Workspace(), torch.bfloat16),
    )
    assert torch.allclose(narrow.values(), wide.values(), atol=0.05)
    assert not torch.equal(narrow.values(use="a"), wide.values(use="b"))
    assert narrow.values().dtype == torch.float32
