"""Where adapters could be wrong without notice, or fail on nothing."""

import pytest
import torch
from torch_geometric.nn.kge import KGEModel

from torch_geometric_dsom.adapters import PyGInteraction, PyGScorer
from torch_geometric_dsom.errors import ConfigError

N, R, D = 9, 3, 4


class Plain(KGEModel):
    """Looks up rows; a dropout, to see that modes are kept."""

    def __init__(self):
        super().__init__(N, R, D)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, head_index, rel_type, tail_index):
        head = self.drop(self.node_emb(head_index) * self.rel_emb(rel_type))
        return (head * self.node_emb(tail_index)).sum(dim=-1)


class Biased(Plain):
    """A bias for each entity, zero at first, so that an untrained one looks right."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Embedding(N, 1)
        torch.nn.init.zeros_(self.bias.weight)

    def forward(self, head_index, rel_type, tail_index):
        return super().forward(head_index, rel_type, tail_index) + self.bias(tail_index).squeeze(-1)


class RelationScaled(Plain):
    """A factor for each relation, no embedding."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(R))

    def forward(self, head_index, rel_type, tail_index):
        return super().forward(head_index, rel_type, tail_index) * self.factor[rel_type]


class WholeTable(Plain):
    """Entities compete: a row depends on all others."""

    def forward(self, head_index, rel_type, tail_index):
        return self.node_emb.weight.softmax(dim=0)[tail_index].sum(dim=-1) + self.rel_emb(rel_type).sum(dim=-1)


@pytest.mark.parametrize("model", [Biased, RelationScaled, WholeTable])
def test_models_that_the_fallback_would_score_wrongly_are_refused(model):
    with pytest.raises(ConfigError, match=f"model: expected scores that depend on rows of .* got {model.__name__}"):
        PyGScorer(model())


def test_the_check_leaves_no_trace():
    model = Plain()
    model.drop.eval()
    before, state = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    assert isinstance(PyGScorer(model).interaction, PyGInteraction)
    assert (model.training, model.drop.training) == (True, False)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["HolE", "ComplEx", "TransE"])
@pytest.mark.parametrize("inverse", [False, True])
def test_no_queries_and_no_candidates_have_no_scores(name, inverse):
    pytest.importorskip("pykeen")
    from pykeen.models import model_resolver
    from pykeen.triples import CoreTriplesFactory

    from torch_geometric_dsom.adapters import PyKEENScorer

    triples = CoreTriplesFactory(
        torch.tensor([[0, 0, 1]]), num_entities=N, num_relations=R, create_inverse_triples=inverse
    )
    options = {"p": 2} if name == "TransE" else {}
    bare = PyKEENScorer.from_interaction(name, N, R, dim=D, **options)
    model = model_resolver.make(name, {"embedding_dim": D}, triples_factory=triples, random_seed=0)
    head, rel, nobody = torch.tensor([0, 8, 3]), torch.tensor([0, 5, 2]), torch.tensor([], dtype=torch.long)
    for scorer in (bare, PyKEENScorer(model)):
        for scores, shape in (
            (scorer.score_tails(head[:0], rel[:0]), (0, N)),
            (scorer.score_tails(head, rel, nobody), (3, 0)),
            (scorer.score_tails(head[:0], rel[:0], nobody), (0, 0)),
        ):
            assert scores.shape == shape
            assert scores.dtype == torch.float32


def test_batch_normalisation_sees_whole_batches_in_training(monkeypatch):
    pytest.importorskip("pykeen")
    from pykeen.models import TuckER
    from pykeen.triples import CoreTriplesFactory

    from torch_geometric_dsom.adapters import PyKEENInteraction, PyKEENScorer
    from torch_geometric_dsom.nn import EmbeddingScorer

    triples = CoreTriplesFactory(torch.tensor([[0, 0, 1]]), num_entities=N, num_relations=R)
    quiet = {"head_dropout": 0.0, "relation_dropout": 0.0, "head_relation_dropout": 0.0}
    bare = EmbeddingScorer(N, R, PyKEENInteraction("TuckER", D, embedding_dim=D, **quiet))
    dropouts = {"dropout_0": 0.0, "dropout_1": 0.0, "dropout_2": 0.0}
    model = PyKEENScorer(TuckER(triples_factory=triples, embedding_dim=D, random_seed=0, **dropouts))
    head, rel = torch.tensor([0, 8, 3]), torch.tensor([0, 1, 2])
    for scorer in (bare, model):
        whole = scorer.train().score_tails(head, rel)
        with monkeypatch.context() as patch:
            for module in ("pykeen_interaction", "pykeen_model"):
                patch.setattr(f"torch_geometric_dsom.adapters.{module}.CHUNK", 24)
            assert torch.allclose(scorer.score_tails(head, rel), whole, atol=1e-6)
            parts = scorer.eval().score_tails(head, rel)  # in chunks
        assert torch.allclose(scorer.score_tails(head, rel), parts, atol=1e-6)
