import pytest
import torch

from torch_geometric_dsom.distributed import World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import ComplEx, ModalityTeacher, RotatE, ShardedScorer, TransE, TuckER

HEAD, REL, TAIL = torch.tensor([0, 6, 3, 3]), torch.tensor([0, 1, 3, 2]), torch.tensor([5, 1, 3, 0])


def make(kind):
    if kind == "modality":
        x, mask = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)), torch.arange(7) % 3 != 0
        return ModalityTeacher({"text": x}, {"text": mask}, num_relations=2, rank=3, hidden_dim=4)
    return {"complex": ComplEx, "rotate": RotatE, "transe": TransE, "tucker": TuckER}[kind](
        7, 2, rank=3, init_scale=0.5
    )


def loss_of(model, table=None):
    """Scores of some entities squared, and the terms of the facts."""
    query = model.query(HEAD, REL, table)
    n3, rho = 0.1, 0.1 if hasattr(model.interaction, "core") else 0.0
    return model.score(query, model.entity_table()).square().sum(), model.fact_loss(HEAD, REL, TAIL, n3, rho)


@pytest.mark.parametrize("kind", ["complex", "rotate", "transe", "tucker", "modality"])
def test_parts_have_the_scores_and_gradients_of_the_whole(together, kind):
    whole = make(kind)
    scores, terms = loss_of(whole)
    (scores + terms).backward()

    def run(world):
        model = ShardedScorer.cut_from(make(kind), world)
        own, same = loss_of(model)
        assert torch.allclose(same, terms, rtol=1e-5)
        (own + same).backward()
        world.sum_all_([value.grad for value in model.partial_parameters()])
        assert torch.allclose(model.score_tails(HEAD, REL), whole.score_tails(HEAD, REL), atol=1e-5)
        some = torch.tensor([6, 2])
        assert torch.allclose(model.score_tails(HEAD, REL, some), whole.score_tails(HEAD, REL, some), atol=1e-5)
        assert torch.allclose(model.freeze().whole().entity, whole.entity_table(), atol=1e-6)
        assert (model.num_entities, model.rank) == (7, whole.rank)
        assert not any(value.requires_grad for value in model.freeze().parameters())
        return {name: value.grad for name, value in model.part.named_parameters()}

    found = together(3, run)
    for name, value in whole.named_parameters():
        parts = [one[name] for one in found]
        if name == "entity":
            assert torch.allclose(torch.cat(parts), value.grad, atol=1e-4)
        else:
            for part in parts:
                assert torch.allclose(part, value.grad, atol=1e-4), name


def test_dropout_is_that_of_the_whole(together):
    whole = ComplEx(7, 2, rank=3, dropout=0.5)
    expected = whole.train().query(HEAD, REL)
    found = together(
        2, lambda world: ShardedScorer.cut_from(ComplEx(7, 2, rank=3, dropout=0.5), world).query(HEAD, REL)
    )
    assert all(torch.equal(part, expected) for part in found)


def test_what_belongs_to_whom(together):
    def run(world):
        model = ShardedScorer.cut_from(make("modality"), world)
        ((name, shard),) = model.sharded_parameters().items()
        return name, shard.start, shard.stop, shard.number, len(model.partial_parameters())

    # Entities 0, 3 and 6 lack the text; four and three entities a process.
    assert together(2, run) == [("entity", 0, 2, 3, 3), ("entity", 2, 3, 3, 3)]


def test_a_scorer_that_cannot_be_cut_says_so():
    class Other(ComplEx):
        cut = ShardedScorer.__mro__[1].cut

    with pytest.raises(ConfigError, match="scorer: expected one whose entities can be dealt out, got a Other"):
        ShardedScorer.cut_from(Other(4, 1, rank=2), World())


def test_repr():
    assert "rows=0:7" in repr(ShardedScorer.cut_from(make("complex"), World()))
