"""Every scorer against its formula in a loop, and what holds for all of them."""

import copy
import math

import pytest
import torch
import torch_geometric.nn.kge as pyg

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import (
    INTERACTIONS,
    SCORERS,
    ComplEx,
    ComplExInteraction,
    DistMult,
    DistMultInteraction,
    EmbeddingScorer,
    Interaction,
    ModalityTeacher,
    RotatE,
    RotatEInteraction,
    Scorer,
    SumInteraction,
    TransE,
    TransEInteraction,
    TuckER,
    TuckERInteraction,
    make_interaction,
    make_scorer,
    product_of_experts,
)

N, R, D = 7, 3, 4


def distmult(h, r, t):
    return sum(a * b * c for a, b, c in zip(h, r, t, strict=True))


def complex_(h, r, t):
    half = len(h) // 2
    h, r, t = ([complex(v[i], v[half + i]) for i in range(half)] for v in (h, r, t))
    return sum((a * b * c.conjugate()).real for a, b, c in zip(h, r, t, strict=True))


def transe(h, r, t):
    return -math.sqrt(sum((a + b - c) ** 2 for a, b, c in zip(h, r, t, strict=True)))


def transe_1(h, r, t):
    return -sum(abs(a + b - c) for a, b, c in zip(h, r, t, strict=True))


def transe_unit(h, r, t):
    h, t = ([v / math.sqrt(sum(u * u for u in x)) for v in x] for x in (h, t))
    return transe(h, r, t)


def rotate(h, r, t):
    half = len(h) // 2
    total = 0.0
    for i in range(half):
        turned = complex(h[i], h[half + i]) * complex(math.cos(r[i]), math.sin(r[i]))
        total += abs(turned - complex(t[i], t[half + i])) ** 2
    return -math.sqrt(total)


def tucker(core):
    def score(h, r, t):
        return sum(
            core[i][j][k] * h[i] * r[j] * t[k] for i in range(len(h)) for j in range(len(r)) for k in range(len(t))
        )

    return score


CASES = {
    "complex": (ComplEx, {}, complex_),
    "distmult": (DistMult, {}, distmult),
    "transe": (TransE, {}, transe),
    "transe L1": (TransE, {"p": 1}, transe_1),
    "transe unit": (TransE, {"normalize": True}, transe_unit),
    "rotate": (RotatE, {}, rotate),
    "tucker": (TuckER, {"relation_rank": 2}, tucker),
}


def make(name, **kwargs):
    cls, options, _ = CASES[name]
    model = cls(N, R, rank=D, init_scale=0.7, generator=torch.Generator().manual_seed(1), **options, **kwargs)
    return model.double()


@pytest.mark.parametrize("name", CASES)
def test_score_is_the_formula(name):
    model, formula = make(name), CASES[name][2]
    if name == "tucker":
        formula = formula(model.interaction.core.tolist())
    head, rel = torch.tensor([0, 5, 2]), torch.tensor([0, 4, 1])
    scores = model.score_tails(head, rel)
    entity, relation = model.entity.tolist(), model.relation.tolist()
    for row, (h, r) in enumerate(zip(head.tolist(), rel.tolist(), strict=True)):
        for t in range(N):
            assert scores[row, t].item() == pytest.approx(formula(entity[h], relation[r], entity[t]), abs=1e-10)
    tail = torch.tensor([6, 0, 3])
    assert torch.allclose(model(head, rel, tail), scores[torch.arange(3), tail], atol=1e-10)
    some = torch.tensor([4, 4, 1])
    assert torch.allclose(model.score_tails(head, rel, some), scores[:, some], atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    model = make(name)
    head, rel = torch.tensor([0, 5]), torch.tensor([0, 4])
    parameters = dict(model.named_parameters())

    def scores(*values):
        return torch.func.functional_call(model, dict(zip(parameters, values, strict=True)), (head, rel, head[[1, 0]]))

    def all_scores(entity, relation):
        return model.interaction.score(model.interaction.query(entity[head], relation[rel]), entity[[1, 3, 4]])

    assert torch.autograd.gradcheck(scores, tuple(parameters.values()))
    assert torch.autograd.gradcheck(all_scores, (model.entity, model.relation))


@pytest.mark.parametrize("name", [name for name in CASES if name != "tucker"])
def test_inverse_relations_ask_the_other_way_round(name):
    model = make(name)
    entity, relation, interaction = model.entity, model.relation, model.interaction
    forth = interaction.score_facts(interaction.query(entity[:3], relation[:3]), entity[3:6])
    back = interaction.score_facts(interaction.query(entity[3:6], interaction.inverse(relation[:3])), entity[:3])
    assert torch.allclose(forth, back, atol=1e-10)


def test_tucker_has_no_inverse_relations():
    with pytest.raises(ConfigError, match="reciprocal"):
        TuckERInteraction(3).inverse(torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (TransE(N, R, D, p=1, normalize=True), pyg.TransE(N, 2 * R, D, p_norm=1.0)),
        (TransE(N, R, D, p=2, normalize=True), pyg.TransE(N, 2 * R, D, p_norm=2.0)),
        (DistMult(N, R, D, init_scale=1.0), pyg.DistMult(N, 2 * R, D)),
        (RotatE(N, R, D), pyg.RotatE(N, 2 * R, D, margin=0.0)),
    ],
    ids=["transe L1", "transe", "distmult", "rotate"],
)
def test_scores_equal_pygs(ours, theirs):
    theirs.node_emb.weight.data = ours.entity.detach()[:, :D].clone()
    if hasattr(theirs, "node_emb_im"):
        theirs.node_emb_im.weight.data = ours.entity.detach()[:, D:].clone()
    theirs.rel_emb.weight.data = ours.relation.detach().clone()
    h, r, t = torch.tensor([0, 3, 6]), torch.tensor([5, 2, 0]), torch.tensor([1, 4, 6])
    assert torch.allclose(ours.score_tails(h, r)[torch.arange(3), t], theirs(h, r, t), atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_freeze_save_and_build_again(name):
    model = make(name, dropout=0.5).train()
    frozen = model.freeze()
    assert model.training
    assert not any(p.requires_grad for p in frozen.parameters())
    head, rel = torch.tensor([1, 2]), torch.tensor([3, 0])
    expected = model.eval().score_tails(head, rel)
    assert torch.equal(frozen.score_tails(head, rel), expected)
    again = make_scorer(frozen.config()).double()
    again.load_state_dict(frozen.state_dict())
    assert torch.equal(again.score_tails(head, rel), expected)
    assert isinstance(again, Scorer)


@pytest.mark.parametrize("name", SCORERS)
def test_default_scorers_learn(name):
    """A chain, which no symmetric function can tell from its reverse; for that one, pairs."""
    model = SCORERS[name](12, 1, rank=8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    head, tail = torch.arange(11), torch.arange(1, 12)
    if name == "distmult":
        head, tail = torch.arange(6), torch.arange(6, 12)
    rel = torch.tensor([0, 1]).repeat_interleave(len(head))
    head, tail = torch.cat([head, tail]), torch.cat([tail, head])
    for _ in range(400):
        loss = torch.nn.functional.cross_entropy(model.score_tails(head, rel), tail)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(model.score_tails(head, rel).argmax(dim=-1), tail)


def test_init_follows_the_generator_and_rotate_draws_angles():
    for name in SCORERS:
        one, other = (SCORERS[name](5, 2, rank=3, generator=torch.Generator().manual_seed(4)) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    angles = RotatE(5, 400, rank=10).relation
    assert angles.abs().max() <= math.pi
    assert angles.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.05)


def test_sum_is_the_weighted_sum():
    parts = [make("complex"), make("rotate"), make("tucker")]
    fused = product_of_experts(parts, [0.5, 2.0, 1.0])
    head, rel = torch.tensor([1, 2]), torch.tensor([3, 0])
    expected = sum(w * p.score_tails(head, rel) for w, p in zip([0.5, 2.0, 1.0], parts, strict=True))
    assert isinstance(fused.interaction, SumInteraction)
    assert torch.allclose(fused.score_tails(head, rel), expected, atol=1e-10)
    tail = torch.tensor([3, 4])
    assert torch.allclose(fused(head, rel, tail), expected[torch.arange(2), tail], atol=1e-10)
    again = make_scorer(fused.config()).double()
    again.load_state_dict(fused.state_dict())
    assert torch.equal(again.score_tails(head, rel), fused.score_tails(head, rel))
    two = SumInteraction([DistMultInteraction(2), TransEInteraction(2)])
    relation = torch.randn(3, 4)
    assert torch.equal(two.inverse(relation), torch.cat([relation[:, :2], -relation[:, 2:]], dim=-1))


@pytest.mark.parametrize("name", INTERACTIONS)
def test_modality_teachers_take_any_interaction(name):
    x, mask = torch.rand(N, 5), torch.arange(N) < 5
    teacher = ModalityTeacher({"image": x}, {"image": mask}, R, hidden_dim=6, interaction=make_interaction(name, 4))
    head, rel = torch.tensor([1, 6]), torch.tensor([3, 0])
    scores = teacher.eval().score_tails(head, rel)
    assert scores.shape == (2, N)
    assert torch.allclose(teacher.freeze().score_tails(head, rel), scores)
    scores.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in teacher.project.parameters())


def test_penalties():
    model = make("distmult")
    head, rel, tail = torch.tensor([1, 2]), torch.tensor([3, 0]), torch.tensor([5, 0])
    tables = ((model.entity, head), (model.relation, rel), (model.entity, tail))
    expected = sum(table[rows].detach().abs().pow(3).sum().item() for table, rows in tables) / 2
    assert model.penalty(head, rel, tail).item() == pytest.approx(expected)
    turned = make("rotate")
    expected = sum(turned.entity[rows].detach().abs().pow(3).sum().item() for rows in (head, tail)) / 2
    assert turned.penalty(head, rel, tail).item() == pytest.approx(expected)  # angles are not penalised


def test_equal_vectors_have_finite_gradients():
    table = torch.ones(3, 4, requires_grad=True)
    score = TransEInteraction(4).score(torch.ones(2, 4), table)
    score.sum().backward()
    assert table.grad.isfinite().all()
    assert score.abs().max() < 1e-2


def test_errors():
    with pytest.raises(ConfigError, match="norm 1 or 2, got 3"):
        TransEInteraction(4, p=3)
    with pytest.raises(ConfigError, match="rank"):
        RotatEInteraction(0)
    with pytest.raises(ConfigError, match="relation_rank"):
        TuckERInteraction(2, relation_rank=0)
    with pytest.raises(ConfigError, match="did you mean 'distmult'"):
        make_interaction("distmlt", 3)
    with pytest.raises(ConfigError, match="transe"):
        make_interaction({"name": "transe", "rank": 2, "q": 1})
    with pytest.raises(ConfigError, match="missing"):
        make_scorer({"num_entities": 3})
    with pytest.raises(ConfigError, match="parts"):
        SumInteraction([])
    with pytest.raises(ConfigError, match="weights"):
        SumInteraction([ComplExInteraction(2)], [1.0, 2.0])


def test_interactions_are_copied_not_shared_by_freeze():
    model = make("tucker")
    frozen = model.freeze()
    before = copy.deepcopy(frozen.interaction.core)
    with torch.no_grad():
        model.interaction.core.add_(1.0)
    assert torch.equal(frozen.interaction.core, before)
    assert isinstance(frozen, EmbeddingScorer)
    assert isinstance(frozen.interaction, Interaction)


@pytest.mark.parametrize("name", ["complex", "distmult", "tucker"])
def test_relation_queries_give_the_scores_of_facts(name):
    model = SCORERS[name](6, 3, 4, generator=torch.Generator().manual_seed(0))
    head, tail = torch.tensor([0, 4, 5]), torch.tensor([1, 1, 2])
    scores = model.interaction.relation_query(model.entity[head], model.entity[tail]) @ model.relation.T
    for relation in range(6):
        expected = model(head, torch.full((3,), relation), tail)
        assert torch.allclose(scores[:, relation], expected, atol=1e-6)


def test_fact_loss_is_penalty_and_relation_prediction():
    model = SCORERS["complex"](6, 3, 4, init_scale=0.5, generator=torch.Generator().manual_seed(0))
    head, relation, tail = torch.tensor([0, 4]), torch.tensor([5, 2]), torch.tensor([1, 1])
    scores = torch.stack([model(head, torch.full((2,), r), tail) for r in range(6)], dim=-1)
    expected = -scores.log_softmax(-1)[[0, 1], relation].mean()
    assert torch.allclose(model.fact_loss(head, relation, tail, relation_prediction=1.0), expected, atol=1e-6)
    both = model.fact_loss(head, relation, tail, n3=0.5, relation_prediction=2.0)
    assert torch.allclose(both, 2 * expected + 0.5 * model.penalty(head, relation, tail), atol=1e-5)
    with pytest.raises(ConfigError, match="TransEInteraction is not linear"):
        SCORERS["transe"](6, 3, 4).fact_loss(head, relation, tail, relation_prediction=1.0)
