import copy

import pytest
import torch
from torch_geometric.nn.kge import ComplEx, DistMult, KGEModel, RotatE, TransE

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.adapters import PyGInteraction, PyGScorer, pyg_interaction
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import EmbeddingScorer, ModalityTeacher

N, R, D = 9, 3, 4


class Bilinear(KGEModel):
    """A model that PyG does not have: a matrix of its own between head and tail."""

    def __init__(self, num_nodes, num_relations, hidden_channels):
        super().__init__(num_nodes, num_relations, hidden_channels)
        self.core = torch.nn.Parameter(torch.randn(hidden_channels, hidden_channels))

    def forward(self, head_index, rel_type, tail_index):
        head = (self.node_emb(head_index) * self.rel_emb(rel_type)) @ self.core
        return (head * self.node_emb(tail_index)).sum(dim=-1)


MODELS = {
    "TransE L1": lambda relations: TransE(N, relations, D, p_norm=1.0),
    "TransE L2": lambda relations: TransE(N, relations, D, p_norm=2.0),
    "TransE L3": lambda relations: TransE(N, relations, D, p_norm=3.0),
    "DistMult": lambda relations: DistMult(N, relations, D),
    "ComplEx": lambda relations: ComplEx(N, relations, D),
    "RotatE": lambda relations: RotatE(N, relations, D, margin=2.5),
    "Bilinear": lambda relations: Bilinear(N, relations, D),
}
FALLBACK = ("TransE L3", "Bilinear")


def make(name, relations):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name](relations)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reciprocal", [False, True])
def test_all_entity_scores_equal_the_models_one_by_one(name, reciprocal):
    model = make(name, 2 * R if reciprocal else R)
    scorer = PyGScorer(model, R if reciprocal else None)
    assert isinstance(scorer.interaction, PyGInteraction) == (name in FALLBACK)
    assert (scorer.num_entities, scorer.num_relations) == (N, R)
    head, rel = torch.tensor([0, 3, 8, 1, 4]), torch.tensor([2, 3, 0, 5, 4])  # both directions in one batch
    scores = scorer.score_tails(head, rel)
    for row, (h, r) in enumerate(zip(head.tolist(), rel.tolist(), strict=True)):
        for t in range(N):
            fact = (h, r, t) if reciprocal or r < R else (t, r - R, h)
            expected = model(*(torch.tensor([x]) for x in fact)).item()
            assert scores[row, t].item() == pytest.approx(expected, abs=2e-5)
    some = torch.tensor([7, 0, 7])
    assert torch.allclose(scorer.score_tails(head, rel, some), scores[:, some], atol=1e-6)
    tail = torch.tensor([1, 2, 3, 4, 5])
    assert torch.allclose(scorer(head, rel, tail), scores[torch.arange(5), tail], atol=1e-5)
    assert scorer.score_tails(head[:0], rel[:0]).shape == (0, N)
    assert torch.allclose(scorer.freeze().score_tails(head, rel), scores, atol=1e-6)


@pytest.mark.parametrize("name", FALLBACK)
def test_the_fallback_works_in_chunks(name, monkeypatch):
    scorer = PyGScorer(make(name, R))
    head, rel = torch.tensor([0, 3, 8]), torch.tensor([2, 3, 0])
    whole = scorer.score_tails(head, rel)
    monkeypatch.setattr("torch_geometric_dsom.adapters.pyg.CHUNK", 60)
    calls = []
    pairs = scorer.interaction._pairs
    monkeypatch.setattr(scorer.interaction, "_pairs", lambda q, t: calls.append(t.size(0)) or pairs(q, t))
    assert torch.allclose(scorer.score_tails(head, rel), whole, atol=1e-6)
    assert len(calls) > 2


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_model(name):
    model = make(name, R).double()
    twin = copy.deepcopy(model)
    head, rel, tail = torch.tensor([0, 3, 8]), torch.tensor([2, 1, 0]), torch.tensor([4, 4, 0])
    PyGScorer(model).score_tails(head, rel)[torch.arange(3), tail].sum().backward()
    twin(head, rel, tail).sum().backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_modality_teachers_are_built_on_the_scoring_function(name):
    model = make(name, 2 * R)
    x, mask = torch.rand(N, 5), torch.arange(N) < 7
    teacher = ModalityTeacher({"image": x}, {"image": mask}, R, hidden_dim=6, interaction=pyg_interaction(model)).eval()
    entity, relation = teacher.entity_table(), teacher.relation_table()
    theirs = copy.deepcopy(model)
    nodes = entity.split(D, dim=-1)
    theirs.node_emb.weight.data = nodes[0].detach()
    if len(nodes) > 1:
        theirs.node_emb_im.weight.data = nodes[1].detach()
    relations = relation.split(D, dim=-1)
    theirs.rel_emb.weight.data = relations[0].detach()
    if hasattr(theirs, "rel_emb_im"):
        theirs.rel_emb_im.weight.data = relations[1].detach()
    h, r, t = torch.tensor([0, 8, 2]), torch.tensor([5, 0, 3]), torch.tensor([1, 6, 2])
    found = teacher.score_tails(h, r)[torch.arange(3), t]
    assert torch.allclose(found, theirs(h, r, t), atol=1e-5)
    found.sum().backward()
    assert all(p.grad is not None for p in teacher.project.parameters())


def test_a_model_of_pyg_is_a_student_of_our_trainer(trained, small_graph, small_options):
    model = ComplEx(60, 6, 8)
    before = model.node_emb.weight.detach().clone()
    trainer = DSoMTrainer(
        seed=0, progress=False, teachers=trained.teachers, student=PyGScorer(model, 3), **small_options
    )
    trainer.fit_student(small_graph)
    assert not torch.equal(before, model.node_emb.weight)
    result = trainer.evaluate(small_graph)
    assert result.mrr == evaluate(PyGScorer(model, 3), small_graph).mrr
    again = PyGScorer(model, 3).freeze()
    assert isinstance(again, EmbeddingScorer)


def test_a_model_of_pyg_is_a_teacher(small_graph, small_options):
    teachers = {"first": PyGScorer(TransE(60, 3, 8)), "second": PyGScorer(Bilinear(60, 3, 8))}
    trainer = DSoMTrainer(seed=0, progress=False, teachers=teachers, **small_options)
    trainer.fit_student(small_graph, epochs=1)
    assert trainer.history[-1]["kd"] > 0


def test_reset_and_errors():
    scorer = PyGScorer(make("DistMult", R))
    before, state = scorer.model.node_emb.weight.clone(), torch.get_rng_state()
    scorer.reset_parameters()
    assert not torch.equal(before, scorer.model.node_emb.weight)
    assert torch.equal(state, torch.get_rng_state())
    assert "model=DistMult" in repr(scorer)
    with pytest.raises(ConfigError, match="num_relations: expected 3 or half of it"):
        PyGScorer(make("DistMult", R), 5)
    bare = make("DistMult", R)
    del bare.rel_emb
    with pytest.raises(ConfigError, match="expected embeddings node_emb and rel_emb"):
        PyGInteraction(bare)
