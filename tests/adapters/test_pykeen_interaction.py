import pytest
import torch

pytest.importorskip("pykeen")
from pykeen.nn.modules import TransEInteraction

from torch_geometric_dsom.adapters import PyKEENInteraction
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import EmbeddingScorer, ModalityTeacher, make_scorer

N, R, D = 7, 2, 4
CASES = {
    "TransE": {"p": 1},
    "DistMult": {},
    "ComplEx": {},
    "RotatE": {},
    "SimplE": {},
    "HolE": {},
    "RESCAL": {},
    "PairRE": {"p": 2},
    "TransH": {"p": 2},
    "TransR": {"dims": {"e": 3}, "p": 2},
    "TransD": {"dims": {"e": 3}, "p": 2},
    "CP": {"dims": {"k": 2}},
    "MuRE": {"p": 2},
    "TorusE": {"p": 2},
    "SE": {"p": 2},
    "ERMLP": {"embedding_dim": 4, "hidden_dim": 5},
    "TuckER": {"embedding_dim": 4, "apply_batch_normalization": False},
    "DistMA": {},
    "BoxE": {"p": 2},
    "TransF": {},
}


def make(name):
    return EmbeddingScorer(N, R, PyKEENInteraction(name, D, **CASES[name]), generator=torch.Generator().manual_seed(1))


def own_parts(interaction, row, shapes, indices):
    """The representations in one row, cut out by hand."""
    factor = 2 if interaction.is_complex else 1
    parts, start = [], 0
    for shape in shapes:
        size = factor
        for length in shape:
            size *= length
        part = row[start : start + size].reshape((*shape, *((2,) if factor == 2 else ())))
        parts.append(torch.view_as_complex(part.contiguous()) if factor == 2 else part)
        start += size
    chosen = [parts[i] for i in indices] if indices is not None else parts
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


@pytest.mark.parametrize("name", CASES)
def test_all_entity_scores_equal_the_interactions_one_by_one(name):
    model = make(name).eval()
    ours, theirs = model.interaction, model.interaction.interaction
    head, rel = torch.tensor([0, 6, 2]), torch.tensor([0, 3, 1])
    scores = model.score_tails(head, rel)
    assert scores.shape == (3, N)
    for row, (h, r) in enumerate(zip(head.tolist(), rel.tolist(), strict=True)):
        for t in range(N):
            fact = [
                own_parts(theirs, model.entity[h], ours.entity_shapes, theirs.head_indices),
                own_parts(theirs, model.relation[r], ours.relation_shapes, None),
                own_parts(theirs, model.entity[t], ours.entity_shapes, theirs.tail_indices),
            ]
            if name == "RotatE":
                fact[1] = fact[1] / fact[1].abs()
            lifted = [
                tuple(p.unsqueeze(0) for p in part) if isinstance(part, tuple) else part.unsqueeze(0) for part in fact
            ]
            expected = theirs.score_hrt(*lifted).item()
            assert scores[row, t].item() == pytest.approx(expected, abs=1e-4)
    tail = torch.tensor([5, 0, 2])
    assert torch.allclose(model(head, rel, tail), scores[torch.arange(3), tail], atol=1e-4)
    assert torch.allclose(model.freeze().score_tails(head, rel), scores, atol=1e-5)
    scores.sum().backward()
    assert model.entity.grad.abs().sum() > 0
    assert model.relation.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["TransE", "ComplEx", "TransD"])
def test_chunks_change_nothing(name, monkeypatch):
    model = make(name)
    head, rel = torch.tensor([0, 6, 2]), torch.tensor([0, 3, 1])
    whole = model.score_tails(head, rel)
    monkeypatch.setattr("torch_geometric_dsom.adapters.pykeen_interaction.CHUNK", 30)
    calls = []
    model.interaction.interaction.register_forward_hook(lambda *_: calls.append(1))
    assert torch.allclose(model.score_tails(head, rel), whole, atol=1e-6)
    assert len(calls) > 2


@pytest.mark.parametrize("name", ["TransE", "RotatE", "PairRE", "TuckER"])
def test_modality_teachers_are_built_on_it(name):
    x, mask = torch.rand(N, 5), torch.arange(N) < 5
    interaction = PyKEENInteraction(name, D, **CASES[name])
    teacher = ModalityTeacher({"image": x}, {"image": mask}, R, hidden_dim=6, interaction=interaction).eval()
    scores = teacher.score_tails(torch.tensor([0, 6]), torch.tensor([3, 1]))
    assert torch.allclose(teacher.freeze().score_tails(torch.tensor([0, 6]), torch.tensor([3, 1])), scores, atol=1e-5)
    scores.sum().backward()
    assert all(p.grad is not None for p in teacher.project.parameters())


def test_initial_values_follow_the_generator_and_the_global_state_stays():
    state = torch.get_rng_state()
    one, other = make("TuckER"), make("TuckER")
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_errors():
    with pytest.raises(ConfigError, match="interaction: expected one of PyKEEN's"):
        PyKEENInteraction("TransWhat", D)
    with pytest.raises(ConfigError, match="kwargs"):
        PyKEENInteraction(TransEInteraction(p=2), D, p=1)
    with pytest.raises(ConfigError, match="dims"):
        PyKEENInteraction("TransE", 0, p=1)
    with pytest.raises(ConfigError, match="reciprocal"):
        PyKEENInteraction("TransE", D, p=1).inverse(torch.zeros(1, D))
    with pytest.raises(ConfigError, match="interaction"):
        make_scorer(make("TransE").config())
