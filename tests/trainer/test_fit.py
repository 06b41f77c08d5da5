import pytest
import torch
from torch.nn.utils import parameters_to_vector

from torch_geometric_dsom.errors import NonFiniteError
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer import CrossEntropyObjective, FitConfig, FitResult, fit_scorer
from torch_geometric_dsom.trainer.fit import make_optimizer


def parts(small_graph, **kwargs):
    model = ComplEx(60, 3, rank=4, generator=torch.Generator().manual_seed(0))
    return model, QuerySampler(small_graph, batch_size=64), CrossEntropyObjective(model, **kwargs)


def test_keeps_the_best_weights_and_stops_when_patience_is_over(small_graph):
    model, sampler, objective = parts(small_graph)
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    kept = []

    def validate():
        kept.append(model.entity.detach().clone())
        return next(scores)

    config = FitConfig(epochs=50, evaluate_every=2, patience=2)
    records = []
    result = fit_scorer(model, sampler, objective, config, validate, progress=False, on_epoch=records.append)
    assert isinstance(result, FitResult)
    assert (result.best_epoch, result.best_mrr) == (4, 0.5)
    assert len(result.history) == 8  # validations after 2, 4, 6, 8: two without a better one
    assert torch.equal(model.entity, kept[1])
    assert records == result.history
    assert [record.get("val_mrr") for record in records] == [None, 0.1, None, 0.5, None, 0.4, None, 0.3]


def test_loss_of_an_epoch_weighs_every_fact_alike(small_graph):
    """The batches' weighted means add up to the mean over facts, however they were cut."""
    _, _, objective = parts(small_graph, n3=0.1)
    totals = []
    for batch_size, max_facts in ((1000, None), (16, None), (16, 1), (7, 2)):
        sampler = QuerySampler(small_graph, batch_size=batch_size, max_facts=max_facts)
        rows = [(objective(batch, 1)[0].item(), batch.head.numel()) for batch in sampler]
        totals.append(sum(loss * count for loss, count in rows) / sampler.num_rows)
    assert totals == pytest.approx([totals[0]] * 4, rel=1e-5)


def test_an_epoch_has_so_many_batches_at_most_drawn_from_all_facts(small_graph):
    seen, length = [], len(parts(small_graph)[1])

    def noting(batch, epoch):
        seen.append((epoch, tuple(batch.fact.tolist())))
        return objective(batch, epoch)

    def epochs(max_batches):
        seen.clear()
        noting.state_dict, noting.load_state_dict = objective.state_dict, objective.load_state_dict
        config = FitConfig(epochs=3, max_batches=max_batches)
        result = fit_scorer(model, sampler, noting, config, progress=False)
        assert len(result.history) == 3
        return [[facts for of, facts in seen if of == epoch] for epoch in (1, 2, 3)]

    model, sampler, objective = parts(small_graph)
    whole = epochs(None)
    assert [len(batches) for batches in whole] == [length] * 3
    assert [len(batches) for batches in epochs(length + 5)] == [length] * 3
    model, sampler, objective = parts(small_graph)
    short = epochs(1)
    assert short == [batches[:1] for batches in whole]  # the same order, cut off
    assert len({facts for (facts,) in short}) == 3


def test_a_loss_that_is_not_finite_is_named(small_graph):
    model, sampler, objective = parts(small_graph)
    with torch.no_grad():
        model.entity[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="student: loss became nan in epoch 1, batch 1"):
        fit_scorer(model, sampler, objective, FitConfig(epochs=1), progress=False)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_both_optimisers_lower_the_loss(small_graph, optimizer):
    model, sampler, objective = parts(small_graph)
    result = fit_scorer(model, sampler, objective, FitConfig(epochs=10, optimizer=optimizer, lr=0.05), progress=False)
    assert result.history[-1]["loss"] < result.history[0]["loss"] - 0.5
    assert not model.training


@pytest.mark.parametrize(("name", "textbook"), [("adam", torch.optim.Adam), ("adagrad", torch.optim.Adagrad)])
def test_steps_are_those_of_the_optimiser_that_is_named_in_one_pass_on_a_cpu(small_graph, name, textbook):
    def trained(make):
        model, sampler, objective = parts(small_graph, n3=0.1)
        optimizer = make(model.double())
        for batch in sampler:
            optimizer.zero_grad()
            objective(batch, 1)[0].backward()
            optimizer.step()
        return optimizer, parameters_to_vector(model.parameters())

    optimizer, ours = trained(lambda model: make_optimizer(model, FitConfig(optimizer=name, lr=0.05)))
    _, theirs = trained(lambda model: textbook(model.parameters(), lr=0.05, fused=False))
    assert isinstance(optimizer, textbook)
    assert optimizer.param_groups[0]["fused"]
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
