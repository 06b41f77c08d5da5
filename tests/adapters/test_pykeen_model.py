import pytest
import torch

pytest.importorskip("pykeen")
from pykeen.models import model_resolver
from pykeen.triples import CoreTriplesFactory

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.adapters import PyKEENScorer, to_triples_factory
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.nn import EmbeddingScorer

N, R = 8, 3
MODELS = {
    "TransE": {"embedding_dim": 4},
    "DistMult": {"embedding_dim": 4},
    "ComplEx": {"embedding_dim": 4},
    "RotatE": {"embedding_dim": 4},
    "SimplE": {"embedding_dim": 4},
    "HolE": {"embedding_dim": 4},
    "RESCAL": {"embedding_dim": 4},
    "TuckER": {"embedding_dim": 4, "apply_batch_normalization": False},
    "PairRE": {"embedding_dim": 4},
    "QuatE": {"embedding_dim": 4},
    "TransH": {"embedding_dim": 4},
    "TransR": {"embedding_dim": 4, "relation_dim": 3},
    "TransD": {"embedding_dim": 4, "relation_dim": 3},
    "ConvE": {"embedding_dim": 12, "embedding_height": 3, "embedding_width": 4, "kernel_height": 2, "kernel_width": 2},
    "MuRE": {"embedding_dim": 4},
}


def make(name, inverse):
    triples = CoreTriplesFactory(
        torch.tensor([[0, 0, 1], [2, 1, 7], [3, 2, 3]]),
        num_entities=N,
        num_relations=R,
        create_inverse_triples=inverse,
    )
    return model_resolver.make(name, MODELS[name], triples_factory=triples, random_seed=0).eval()


@pytest.mark.parametrize(
    ("name", "inverse"),  # ConvE is made for inverse triples alone
    [(name, inverse) for name in MODELS for inverse in (False, True) if inverse or name != "ConvE"],
)
def test_all_entity_scores_equal_the_models_one_by_one(name, inverse):
    model = make(name, inverse)
    scorer = PyKEENScorer(model)
    assert (scorer.num_entities, scorer.num_relations) == (N, R)
    head, rel = torch.tensor([0, 3, 7, 1, 4]), torch.tensor([2, 3, 0, 5, 4])  # both directions in one batch
    scores = scorer.score_tails(head, rel)
    for row, (h, r) in enumerate(zip(head.tolist(), rel.tolist(), strict=True)):
        for t in range(N):
            fact = (h, r, t) if r < R else (t, r - R, h)
            if inverse:
                fact = (h, 2 * (r % R) + r // R, t)  # PyKEEN's own numbers: r, its inverse, the next r, ...
            expected = model.score_hrt(torch.tensor([fact])).item()
            assert scores[row, t].item() == pytest.approx(expected, abs=1e-4)
    some = torch.tensor([7, 0])
    assert torch.allclose(scorer.score_tails(head, rel, some), scores[:, some], atol=1e-5)
    for rows in (slice(0, 0), slice(0, 1), slice(1, 2)):
        assert torch.allclose(scorer.score_tails(head[rows], rel[rows]), scores[rows], atol=1e-5)
    scores.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("inverse", [False, True])
def test_predictions_are_pykeens_own(inverse):
    model = make("ComplEx", inverse)
    model.predict_with_sigmoid = True  # not ours: we give logits
    h, r = torch.tensor([0, 5]), torch.tensor([2, 1])
    pairs = torch.stack([h, r], dim=-1)
    scorer = PyKEENScorer(model)
    assert torch.allclose(scorer.score_tails(h, r).sigmoid(), model.predict_t(pairs), atol=1e-6)
    assert torch.allclose(scorer.score_tails(h, r + R).sigmoid(), model.predict_h(pairs.flip(-1)), atol=1e-6)


def test_slices_change_nothing(monkeypatch):
    for inverse in (False, True):
        scorer = PyKEENScorer(make("TransE", inverse))
        head, rel = torch.tensor([0, 3, 7]), torch.tensor([2, 3, 0])
        whole = scorer.score_tails(head, rel)
        with monkeypatch.context() as patch:
            patch.setattr("torch_geometric_dsom.adapters.pykeen_model.CHUNK", 24)
            assert scorer._slice(head) == 2
            assert torch.allclose(scorer.score_tails(head, rel), whole, atol=1e-6)


def test_is_a_teacher_and_a_student_of_our_trainer(small_graph, small_options, tmp_path):
    triples = to_triples_factory(small_graph, create_inverse_triples=True)
    teacher = model_resolver.make("DistMult", {"embedding_dim": 8}, triples_factory=triples, random_seed=0)
    student = model_resolver.make("TransE", {"embedding_dim": 8}, triples_factory=triples, random_seed=0)
    before = [p.detach().clone() for p in student.parameters()]
    options = {**small_options, "student_fit": {**small_options["student_fit"], "n3": 0.0}}
    trainer = DSoMTrainer(
        seed=0,
        progress=False,
        teachers={"distmult": PyKEENScorer(teacher)},
        student=PyKEENScorer(student),
        **options,
    )
    trainer.fit_student(small_graph)
    assert not any(p.requires_grad for p in teacher.parameters())  # frozen
    assert all(not torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))
    assert trainer.evaluate(small_graph).mrr == evaluate(PyKEENScorer(student), small_graph).mrr
    length = student.entity_representations[0](None).norm(dim=-1)
    assert torch.allclose(length, torch.ones_like(length), atol=1e-2)  # PyKEEN's TransE keeps entities on the sphere
    with pytest.raises(CheckpointError, match="student: cannot save a PyKEENScorer"):
        trainer.save(tmp_path / "x")


def test_from_a_bare_interaction():
    scorer = PyKEENScorer.from_interaction("DistMult", N, R, dim=4)
    assert isinstance(scorer, EmbeddingScorer)
    expected = (scorer.entity[2] * scorer.relation[4]) @ scorer.entity.T
    assert torch.allclose(scorer.score_tails(torch.tensor([2]), torch.tensor([4]))[0], expected, atol=1e-6)


def test_anything_else_is_refused():
    with pytest.raises(ConfigError, match=r"expected a pykeen.models.Model, got Linear"):
        PyKEENScorer(torch.nn.Linear(2, 2))
    assert "num_relations=3" in repr(PyKEENScorer(make("TransE", True)))
