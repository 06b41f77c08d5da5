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


def test_features_of_entities_that_do_not_matter_are_not_touched(monkeypatch):
    """A teacher over candidates makes the rows of these and of the query entities alone, with the same gradients."""
    from torch_geometric_dsom.nn import ModalityTeacher
    from torch_geometric_dsom.sampler import CandidateSampler, QueryBatch
    from torch_geometric_dsom.trainer import CrossEntropyObjective

    features = {"text": torch.randn(40, 5, generator=torch.Generator().manual_seed(0))}
    masks = {"text": torch.arange(40) % 4 != 0}
    batch = QueryBatch(*(torch.tensor(x) for x in ([7, 4], [0, 1], [0, 0, 1], [3, 8, 39], [0, 1, 2])))
    found = []
    for some in (False, True):
        touched = features["text"].clone()
        model = ModalityTeacher({"text": touched}, masks, 1, rank=2, hidden_dim=3, mapped=some)
        monkeypatch.setattr(ModalityTeacher, "row_by_row", some)
        sampler = CandidateSampler(40, 5)
        needed = CandidateSampler(40, 5).sample(torch.cat([batch.head, batch.target])).entity
        if some:
            other = torch.ones(40).bool().index_fill(0, needed, False)
            touched[other] = torch.nan  # after the mean was taken
        loss = CrossEntropyObjective(model, n3=0.1, candidates=sampler)(batch, 1)[0]
        loss.backward()
        found.append([loss.detach(), *(value.grad for value in model.parameters())])
    for kept, mapped in zip(*found, strict=True):
        assert torch.allclose(kept, mapped, atol=1e-6)
