"""Ranks and metrics equal those of PyKEEN's evaluator, of a trained model and of one full of ties."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom.evaluation import evaluate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pykeen.*", "ignore:'pin_memory':UserWarning")
TYPES = ("optimistic", "realistic", "pessimistic")


class TwoSided:
    """A PyKEEN model without inverse relations: heads are asked for by ``score_h``."""

    def __init__(self, model, num_relations):
        self.model, self.num_relations = model, num_relations

    def score_tails(self, head, rel, candidates=None):
        scores = torch.empty(head.numel(), self.model.num_entities, dtype=torch.float64)
        forth = rel < self.num_relations
        if forth.any():
            scores[forth] = self.model.score_t(torch.stack([head, rel], dim=-1)[forth]).double()
        if not forth.all():
            back = torch.stack([rel - self.num_relations, head], dim=-1)[~forth]
            scores[~forth] = self.model.score_h(back).double()
        return scores


@pytest.fixture(scope="module")
def nations(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSTOW_HOME", str(tmp_path_factory.mktemp("pystow")))
        from pykeen.datasets import Nations

        yield Nations()


def to_data(dataset):
    data = Data(num_nodes=dataset.num_entities, num_relations=dataset.num_relations)
    for prefix, part in (("", dataset.training), ("val_", dataset.validation), ("test_", dataset.testing)):
        head, data[f"{prefix}edge_type"], tail = part.mapped_triples.T
        data[f"{prefix}edge_index"] = torch.stack([head, tail])
    return data


def make(dataset, name):
    from pykeen.models import ComplEx, DistMult

    model = {"DistMult": DistMult, "ComplEx": ComplEx}[name]
    return model(triples_factory=dataset.training, embedding_dim=16, random_seed=0)


def train(dataset, name):
    from pykeen.training import SLCWATrainingLoop

    model = make(dataset, name)
    loop = SLCWATrainingLoop(model=model, triples_factory=dataset.training, optimizer="Adam")
    loop.train(dataset.training, num_epochs=5, batch_size=256, use_tqdm=False)
    return model.double()  # nothing hangs on the rounding of a product


def make_tied(dataset):
    """Entities and relations of small whole numbers: all scores are exact, and many equal."""
    model = make(dataset, "DistMult")
    g = torch.Generator().manual_seed(0)
    for representation in (*model.entity_representations, *model.relation_representations):
        weight = next(iter(representation.parameters()))
        weight.data = torch.randint(-1, 2, weight.shape, generator=g).to(weight)
    return model


def pykeen_evaluation(model, dataset):
    from pykeen.evaluation import RankBasedEvaluator

    evaluator = RankBasedEvaluator(filtered=True, clear_on_finalize=False)
    found = evaluator.evaluate(
        model,
        dataset.testing.mapped_triples,
        batch_size=64,
        additional_filter_triples=[dataset.training.mapped_triples, dataset.validation.mapped_triples],
        use_tqdm=False,
    )
    return found, {key: np.concatenate(ranks) for key, ranks in evaluator.ranks.items()}


@pytest.fixture(scope="module", params=["trained DistMult", "trained ComplEx", "tied"])
def case(request, nations):
    kind, _, name = request.param.partition(" ")
    model = train(nations, name) if kind == "trained" else make_tied(nations)
    found, ranks = pykeen_evaluation(model, nations)
    return TwoSided(model, nations.num_relations), to_data(nations), found, ranks, kind


def test_metrics_are_equal(case):
    scorer, data, found, _, _ = case
    result = evaluate(scorer, data)
    for part, ours in (("both", result), ("head", result.head), ("tail", result.tail)):
        key = f"{part}.realistic."
        assert ours.mrr == pytest.approx(found.get_metric(f"{key}inverse_harmonic_mean_rank"), abs=1e-6)
        assert ours.mean_rank == pytest.approx(found.get_metric(f"{key}arithmetic_mean_rank"), abs=1e-6)
        for k in (1, 3, 10):
            assert ours.hits_at(k) == pytest.approx(found.get_metric(f"{key}hits_at_{k}"), abs=1e-6)


@pytest.mark.parametrize("ties", TYPES)
@pytest.mark.parametrize("direction", ["head", "tail"])
def test_each_rank_is_equal(case, ties, direction):
    scorer, data, _, ranks, _ = case
    ours = evaluate(scorer, data, ties=ties, directions=[direction], batch_size=17).ranks
    assert ours.tolist() == ranks[direction, ties].tolist()


def test_there_are_ties_to_be_equal_on(case):
    _, _, _, ranks, kind = case
    tied = sum(int((ranks[side, "optimistic"] != ranks[side, "pessimistic"]).sum()) for side in ("head", "tail"))
    assert (tied > 50) == (kind == "tied")
