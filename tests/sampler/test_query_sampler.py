import pytest
import torch

from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.sampler import Around, QueryBatch, QuerySampler, random_folds

G = torch.Generator().manual_seed(0)
FACTS = torch.stack(
    [
        torch.randint(12, (40,), generator=G),
        torch.randint(3, (40,), generator=G),
        torch.randint(12, (40,), generator=G),
    ],
    dim=-1,
)


def epoch(sampler):
    return [
        (batch.head[q].item(), batch.relation[q].item(), t.item())
        for batch in sampler
        for q, t in zip(batch.row, batch.target, strict=True)
    ]


def test_an_epoch_asks_every_fact_once_from_each_side():
    expected = [(h, r, t) for h, r, t in FACTS.tolist()] + [(t, r + 3, h) for h, r, t in FACTS.tolist()]
    sampler = QuerySampler(FACTS, num_relations=3, batch_size=7)
    assert sorted(epoch(sampler)) == sorted(expected)
    assert sampler.num_facts == 80
    assert sampler.num_queries == len({(h, r) for h, r, _ in expected})
    assert len(list(sampler)) == len(sampler)


def test_a_query_is_in_one_batch_only_and_once():
    seen = [
        pair
        for b in QuerySampler(FACTS, 3, batch_size=7)
        for pair in zip(b.head.tolist(), b.relation.tolist(), strict=True)
    ]
    assert len(seen) == len(set(seen))


def test_fact_numbers_point_to_the_facts():
    sampler = QuerySampler(FACTS, 3, batch_size=7)
    for batch in sampler:
        facts = torch.stack([batch.head[batch.row], batch.relation[batch.row], batch.target], dim=-1)
        assert torch.equal(sampler.facts[batch.fact], facts)


def test_parts_hold_every_fact_once_and_their_weights_add_up():
    batch = next(iter(QuerySampler(FACTS, 3, batch_size=17)))._replace(weight=0.5)
    for size in (1, 4, 16):
        parts = list(batch.parts(size))
        assert sum(part.weight for _, part in parts) == pytest.approx(0.5)
        assert torch.equal(torch.cat([part.head for _, part in parts]), batch.head)
        assert sorted(torch.cat([part.fact for _, part in parts]).tolist()) == sorted(batch.fact.tolist())
        for rows, part in parts:
            assert len(part.head) == rows.stop - rows.start <= size
            for row, target, fact in zip(part.row, part.target, part.fact, strict=True):
                place = (batch.fact == fact).nonzero().item()
                assert batch.row[place] == row + rows.start
                assert batch.target[place] == target
    assert next(batch.parts(17))[1] is batch


def test_order_follows_the_generator_and_changes_with_the_epoch():
    def make():
        return QuerySampler(FACTS, 3, batch_size=7, generator=torch.Generator().manual_seed(5))

    before = torch.get_rng_state()
    one, other = make(), make()
    first = epoch(one)
    assert first == epoch(other)
    assert first != epoch(one)
    assert torch.equal(before, torch.get_rng_state())
    fixed = QuerySampler(FACTS, 3, shuffle=False)
    assert epoch(fixed) == epoch(fixed)


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="batch_size"):
        QuerySampler(FACTS, 3, batch_size=0)
    with pytest.raises(ConfigError, match="num_relations"):
        QuerySampler(FACTS)
    with pytest.raises(DataError, match="fact"):
        QuerySampler(FACTS[:0], 3)


def test_repr_and_move():
    sampler = QuerySampler(FACTS, 3)
    assert repr(sampler) == f"QuerySampler(queries={sampler.num_queries}, facts=80, batch_size=256)"
    batch = next(iter(sampler))
    assert isinstance(batch, QueryBatch)
    assert torch.equal(batch.to("cpu").target, batch.target)


def test_rows_hold_facts_of_one_fold():
    folds = random_folds(40, 3, torch.Generator().manual_seed(1))
    sampler = QuerySampler(FACTS, 3, batch_size=7, folds=folds)
    assert torch.equal(sampler.fold, torch.cat([folds, folds]))
    seen = 0
    for batch in sampler:
        fold = sampler.fold[batch.fact]
        for row in range(batch.head.numel()):
            assert fold[batch.row == row].unique().numel() == 1
        assert torch.equal(batch.head[batch.row], sampler.facts[batch.fact, 0])
        assert torch.equal(batch.relation[batch.row], sampler.facts[batch.fact, 1])
        seen += batch.fact.numel()
    assert seen == 80
    assert sampler.num_queries > QuerySampler(FACTS, 3).num_queries
    with pytest.raises(ConfigError, match="folds: expected one for each of 40 facts, got 3"):
        QuerySampler(FACTS, 3, folds=torch.zeros(3, dtype=torch.long))


def test_folds_are_equal_and_drawn():
    folds = random_folds(41, 4, torch.Generator().manual_seed(1))
    assert sorted(folds.bincount().tolist()) == [10, 10, 10, 11]
    assert not torch.equal(folds, random_folds(41, 4, torch.Generator().manual_seed(2)))
    with pytest.raises(ConfigError, match="num_folds"):
        random_folds(10, 1, torch.Generator())


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_of_processes_are_the_batches_of_one(processes):
    def sampler(share):
        return QuerySampler(FACTS, 3, batch_size=8, generator=torch.Generator().manual_seed(4), share=share)

    shares = [sampler((rank, processes)) for rank in range(processes)]
    one = sampler((0, 1))
    for _ in range(2):  # epochs
        for whole, *parts in zip(one, *shares, strict=True):
            assert torch.equal(torch.cat([part.head for part in parts]), whole.head)
            assert torch.equal(torch.cat([part.fact for part in parts]), whole.fact)
            assert sum(part.weight for part in parts) == pytest.approx(whole.weight)
            for rank, part in enumerate(parts):
                assert (part.num_queries, part.num_facts) == (len(whole.head), len(whole.fact))
                assert part.around.queries[0] == sum(len(other.head) for other in parts[:rank])
                assert part.around.facts[1] == sum(len(other.fact) for other in parts[rank + 1 :])
                own = part.ungrouped()
                assert own.around.queries == part.around.facts
    with pytest.raises(ConfigError, match=r"share: expected \(rank, processes\), got \(2, 2\)"):
        sampler((2, 2))


def test_processes_get_as_many_parts_each():
    batch = QueryBatch(*(torch.arange(5) for _ in range(5)))
    shares = [
        batch._replace(**{name: getattr(batch, name)[:size] for name in ("head", "relation", "row", "target", "fact")},
                       weight=size / 5, around=Around(around, around))
        for size, around in ((3, (0, 2)), (2, (3, 0)))
    ]  # fmt: skip
    cut = [[part for _, part in share.parts(2, processes=2)] for share in shares]
    assert [[len(part.head) for part in parts] for parts in cut] == [[2, 1], [2, 0]]
    assert [part.around for part in cut[0]] == [Around(), Around((0, 2), (0, 2))]
    assert [part.around for part in cut[1]] == [Around((3, 0), (3, 0)), Around()]
    assert sum(part.weight for parts in cut for part in parts) == pytest.approx(1.0)


def test_parts_of_facts_in_any_order():
    batch = next(iter(QuerySampler(FACTS, 3, batch_size=17)))
    mixed = torch.randperm(batch.row.numel(), generator=torch.Generator().manual_seed(1))
    other = batch._replace(row=batch.row[mixed], target=batch.target[mixed], fact=batch.fact[mixed])
    assert (other.in_order().row.diff() >= 0).all()
    assert batch.in_order() is batch
    for (rows, part), (same, expected) in zip(other.parts(4), batch.parts(4), strict=True):
        assert rows == same
        assert sorted(zip(part.row.tolist(), part.fact.tolist(), strict=True)) == sorted(
            zip(expected.row.tolist(), expected.fact.tolist(), strict=True)
        )
        assert torch.equal(batch.target[torch.cat([(batch.fact == f).nonzero()[0] for f in part.fact])], part.target)
