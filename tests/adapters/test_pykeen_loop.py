import pytest
import torch

pytest.importorskip("pykeen")
from pykeen.losses import CrossEntropyLoss
from pykeen.models import ComplEx, DistMult
from pykeen.training import LCWATrainingLoop

from torch_geometric_dsom.adapters import DistilledLCWATrainingLoop, PyKEENScorer, to_triples_factory
from torch_geometric_dsom.data import NeighborIndex
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import DISTLoss, neighbor_decoupled_kd_loss


def make(data, inverse=True, kind=DistMult, **options):
    triples = to_triples_factory(data, create_inverse_triples=inverse)
    student = kind(triples_factory=triples, embedding_dim=8, random_seed=1, loss=CrossEntropyLoss())
    teacher = PyKEENScorer(ComplEx(triples_factory=triples, embedding_dim=8, random_seed=2)).eval()
    options = {"teacher": teacher, "groups": NeighborIndex(data), **options}
    loop = DistilledLCWATrainingLoop(model=student, triples_factory=triples, **options)
    return loop, student, teacher, triples


@pytest.mark.parametrize("inverse", [False, True])
def test_the_loss_of_a_batch_is_pykeens_plus_ours(small_graph, inverse):
    loop, student, teacher, triples = make(small_graph, inverse, gamma=0.7)
    plain = LCWATrainingLoop(model=student, triples_factory=triples)
    loader = loop._create_training_data_loader(triples, None, batch_size=50)
    for batch in list(loader)[:2]:
        found = loop._process_batch(batch, 0, 32)
        own = plain._process_batch(batch, 0, 32)
        pairs = batch["pairs"][:32]
        scores = student.score_t(pairs)
        student.collect_regularization_term()  # PyKEEN gathers it at every forward pass
        head, relation = pairs.unbind(-1)
        if inverse:
            relation = relation // 2 + 3 * (relation % 2)
        assert (relation >= 3).any() == inverse
        label = teacher.score_tails(head, relation)
        mask = NeighborIndex(small_graph).rows(head, relation).dense(60)
        kd = neighbor_decoupled_kd_loss(scores, label, mask)
        assert found.item() == pytest.approx((own + 0.7 * kd).item(), rel=1e-5)
    relation_of_pairs = torch.cat([batch["pairs"][:, 1] for batch in loader])
    assert relation_of_pairs.max() == (5 if inverse else 2)


def test_without_weight_it_is_pykeens_own_training(small_graph):
    weights = []
    for cls in (LCWATrainingLoop, DistilledLCWATrainingLoop):
        loop, student, _, triples = make(small_graph, gamma=0.0)
        if cls is LCWATrainingLoop:
            loop = LCWATrainingLoop(model=student, triples_factory=triples)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            losses = loop.train(triples, num_epochs=2, batch_size=64, use_tqdm=False)
        weights.append((losses, [p.detach().clone() for p in student.parameters()]))
    assert weights[0][0] == weights[1][0]
    assert all(torch.equal(a, b) for a, b in zip(weights[0][1], weights[1][1], strict=True))


def test_training_brings_the_student_nearer_to_its_teacher(small_graph):
    loop, student, teacher, triples = make(small_graph, kind=ComplEx, gamma=20.0)
    head, rel = torch.arange(40), torch.arange(40) % 6
    index = NeighborIndex(small_graph)

    def distance():
        with torch.no_grad():
            scores = PyKEENScorer(student).score_tails(head, rel)
            return neighbor_decoupled_kd_loss(scores, teacher.score_tails(head, rel), index.rows(head, rel)).item()

    loop.train(triples, num_epochs=1, use_tqdm=False)  # draws new weights first
    first = distance()
    for group in loop.optimizer.param_groups:
        group["lr"] = 0.1
    loop.train(triples, num_epochs=10, use_tqdm=False, continue_training=True)
    assert distance() < 0.8 * first


@pytest.mark.parametrize("options", [{"kd_loss": DISTLoss(), "groups": None}, {"kd_loss": DISTLoss()}])
def test_other_losses_are_plugged_in(small_graph, options):
    loop, *_, triples = make(small_graph, **options)
    assert len(loop.train(triples, num_epochs=1, use_tqdm=False)) == 1


def test_groups_may_be_the_teachers_best(small_graph):
    loop, *_, triples = make(small_graph, groups=NeighborIndex(small_graph, "topk", k=4))
    assert len(loop.train(triples, num_epochs=1, use_tqdm=False)) == 1


def test_errors(small_graph):
    with pytest.raises(ConfigError, match="groups: expected a kind that needs no target"):
        make(small_graph, groups=NeighborIndex(small_graph, "target"))
    with pytest.raises(ConfigError, match="groups: expected a NeighborIndex"):
        make(small_graph, groups=None)
    with pytest.raises(ConfigError, match="gamma"):
        make(small_graph, gamma=-1.0)
    with pytest.raises(ConfigError, match="target"):
        make(small_graph, target=0)
