import json

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.sampler import StaticSampler
from torch_geometric_dsom.trainer import EntityCard, Explanation, Opinion, explain
from torch_geometric_dsom.trainer.explain import chances
from torch_geometric_dsom.trainer.selection import choices


def fact_of(data, number=0, prefix="test_"):
    head, tail = data[f"{prefix}edge_index"][:, number].tolist()
    return head, int(data[f"{prefix}edge_type"][number]), tail


@pytest.mark.parametrize("asked", ["tail", "head"])
def test_ranks_are_those_of_evaluation(trained, small_graph, asked):
    for number in range(4):
        told = explain(trained, small_graph, *fact_of(small_graph, number), asked=asked)
        for name, scorer in {**trained.teachers, "DSoM student": trained.student}.items():
            ranks = getattr(evaluate(scorer, small_graph, "test"), asked).ranks
            opinion = next(one for one in (*told.teachers, *told.students) if one.name == name)
            assert opinion.rank == ranks[number].item()


def test_probability_and_best_answers_by_hand(trained, small_graph):
    h, r, t = fact_of(small_graph)
    told = explain(trained, small_graph, h, r, t, k=60)
    assert isinstance(told, Explanation)
    assert isinstance(told.student, Opinion)
    scores = trained.student.score_tails(torch.tensor([h]), torch.tensor([r]))[0].detach()
    prob = scores.exp() / scores.exp().sum()
    assert told.student.probability == pytest.approx(prob[t].item(), rel=1e-5)
    _, known = KnownAnswers.from_data(small_graph).rows(torch.tensor([h]), torch.tensor([r]))
    others = set(known.tolist()) - {t}
    expected = [e for e in scores.argsort(descending=True).tolist() if e not in others]
    assert [answer.entity for answer in told.student.best] == expected
    assert [answer.entity for answer in told.student.best if answer.known] == [t]
    assert told.student.best.index(next(a for a in told.student.best if a.known)) + 1 == told.student.rank


def test_names_texts_and_where_the_fact_is(trained, small_graph):
    data = small_graph.clone()
    data.entity_texts = [f"text of {i}" for i in range(60)]
    h, r, t = fact_of(data)
    told = explain(trained, data, f"thing {h}", f"leads {r}", f"e{t}", asked="head")
    assert isinstance(told.head, EntityCard)
    assert (told.head.entity, told.tail.entity, told.relation) == (h, t, f"leads {r}")
    assert (told.query, told.answer) == (told.tail, told.head)
    assert told.split == "test"
    assert told.head.text == f"text of {h}"
    assert told.head.modalities == (("image", "text") if h % 3 else ("text",))
    assert told.head.degree == sum(h in fact for fact in data.edge_index.T.tolist())
    assert explain(trained, data, *fact_of(data, 3, "")).split == "train"
    facts = {fact_of(data, i, p) for p in ("", "val_", "test_") for i in range(data[f"{p}edge_type"].numel())}
    new = next((h, r, t) for t in range(60) for h in range(60) if (h, r, t) not in facts)
    assert explain(trained, data, *new).split is None


def test_what_the_agent_would_do(trained, small_graph):
    h, r, t = next(fact_of(small_graph, i) for i in range(30) if fact_of(small_graph, i)[0] % 3 == 0)
    told = explain(trained, small_graph, h, r, t)
    assert [one.name for one in told.teachers] == ["structure", "image", "text", "fused"]
    image = told.teachers[1]
    assert (image.available, image.chosen, image.chance) == (False, False, 0.0)  # no picture, nothing to ask about
    assert told.chosen == tuple(one.name for one in told.teachers if one.chance > 0.5)
    product = 1.0
    for one in told.teachers:
        product *= max(one.chance, 1 - one.chance)
    assert told.chance == pytest.approx(product, rel=1e-4)
    assert told.facts_of_relation == int((small_graph.edge_type == r).sum())
    assert 0 < image.chosen_on_relation < 1


def test_shares_on_the_relation_are_what_many_draws_give(trained, small_graph):
    facts = torch.tensor([fact_of(small_graph, i, "") for i in range(240)])
    objective = trained.objective(small_graph)
    pairs = list(choices(objective, facts, 3))
    expected = torch.cat([chances(objective, choice)[0] for _, choice in pairs]).mean(dim=0)
    drawn = torch.zeros(4)
    for _ in range(40):
        for _, choice in pairs:
            drawn += trained.agent.sample(choice.state, choice.available).action.float().sum(dim=0)
    assert drawn / (40 * 480) == pytest.approx(expected, abs=0.02)


def test_nothing_is_drawn_from_the_trainer(trained, small_graph):
    before = trained.agent.generator.get_state()
    first = explain(trained, small_graph, *fact_of(small_graph))
    assert torch.equal(trained.agent.generator.get_state(), before)
    assert explain(trained, small_graph, *fact_of(small_graph)) == first


def test_a_rule_is_certain(trained, small_graph, small_options):
    trainer = DSoMTrainer(seed=3, progress=False, teachers=trained.teachers, **small_options)
    trainer.agent = StaticSampler(4, chosen=[1, 3])
    trainer.fit_student(small_graph, epochs=1)
    h, r, t = next(fact_of(small_graph, i) for i in range(30) if fact_of(small_graph, i)[0] % 3)
    told = explain(trainer, small_graph, h, r, t)
    assert told.chosen == ("image", "fused")
    assert told.chance == 1.0
    assert [one.chance for one in told.teachers] == [0.0, 1.0, 0.0, 1.0]


def test_a_text_and_plain_values(trained, small_graph):
    told = explain(trained, small_graph, *fact_of(small_graph))
    plain = json.loads(json.dumps(told.to_dict()))
    assert plain["teachers"][3]["name"] == "fused"
    assert plain["students"][1]["best"][0]["rank"] == 1
    text = str(told)
    assert f"{told.head.label}  --[{told.relation}]-->  {told.tail.label}   (test fact, asked for the tail)" in text
    for name in ("structure", "fused", "CE-only student", "DSoM student"):
        assert name in text


def test_bad_arguments_are_named(trained, small_graph):
    for arguments, options, message in (
        (("e0", "r0", "e999"), {}, "entity: unknown name 'e999'"),
        (("e0", "r9", "e1"), {}, "relation: unknown name 'r9'"),
        (("e0", "r0", "e1"), {"asked": "both"}, "asked: expected 'tail' or 'head', got 'both'"),
        (("e0", "r0", "e1"), {"k": 0}, "k: expected a positive number, got 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            explain(trained, small_graph, *arguments, **options)
    with pytest.raises(ConfigError, match="expected one with teachers, got none"):
        explain(DSoMTrainer(), small_graph, "e0", "r0", "e1")
