import torch

from torch_geometric_dsom.data import GroupRows
from torch_geometric_dsom.loss import part_labels, view_student
from torch_geometric_dsom.sampler import ALL, QueryBatch, SelectionState, StaticSampler, StudentSignals, teacher_signals
from torch_geometric_dsom.trainer.fact_signals import FactSignals
from torch_geometric_dsom.trainer.questions import Questions, first_facts, make_questions

ROW = torch.tensor([0, 0, 1, 2, 2])
BATCH = QueryBatch(
    torch.tensor([3, 1, 4]), torch.tensor([0, 2, 1]), ROW, torch.tensor([1, 2, 0, 3, 4]), torch.arange(5)
)


def make(per_query=False):
    g = torch.Generator().manual_seed(0)
    prob, logits = torch.randn(3, 2, 6, generator=g).softmax(-1), torch.randn(3, 6, generator=g)
    groups = GroupRows(torch.tensor([0, 2]), torch.tensor([5, 1]), 3)
    favourite = prob.sum(1).argmax(-1)
    signals = teacher_signals(prob, torch.arange(3), favourite, groups).rows(ROW)
    facts = FactSignals(signals, favourite[ROW], signals.log_prob, torch.empty(5, 0))
    state = SelectionState("ab", torch.rand(6, 1, generator=g) < 0.5, torch.arange(6), 2, 4)
    query, available = torch.randn(3, 4, generator=g), torch.rand(6, 2, generator=g) < 0.7
    questions = make_questions(state, available, query, BATCH, facts, ALL, per_query)
    return questions, state, query, facts, prob, logits, groups, available


def test_the_agent_sees_the_whole_state():
    questions, state, query, facts, prob, logits, groups, available = make()
    view = view_student(logits.clone(), part_labels(prob.clone(), groups))
    choice = questions.ask(StaticSampler(2), view)
    log_prob = logits.log_softmax(-1)
    divergence = (prob * (prob.log() - log_prob.unsqueeze(1))).sum(-1)[ROW]
    student = StudentSignals(log_prob[ROW, facts.favourite], divergence)
    head, relation = BATCH.head[ROW], BATCH.relation[ROW]
    expected = state(query[ROW], facts.teachers, student, head, relation, facts.favourite)
    assert torch.allclose(choice.state, expected, atol=1e-6)
    assert torch.equal(choice.available, available[head])


def test_parts_ask_what_the_whole_asks():
    questions, _, _, _, prob, logits, groups, _ = make()
    whole = questions.ask(StaticSampler(2), view_student(logits.clone(), part_labels(prob.clone(), groups)))
    found = make()[0]
    for rows, asked, near in ((slice(0, 2), slice(0, 3), groups.split([slice(0, 2), slice(2, 3)])[0]),):
        view = view_student(logits[rows].clone(), part_labels(prob[rows].clone(), near))
        part = found.part(asked, rows.start)
        assert isinstance(part, Questions)
        choice = part.ask(StaticSampler(2), view)
        assert torch.allclose(choice.state, whole.state[asked], atol=1e-6)
        assert torch.equal(choice.action, whole.action[asked])
    last = found.part(slice(3, 5), 2)
    assert last.row.tolist() == [0, 0]
    assert last.state.data_ptr() == found.state[3:].data_ptr()  # no copy


def test_one_question_a_query():
    questions, *_ = make(per_query=True)
    assert questions.row.tolist() == [0, 1, 2]
    each, *_ = make()
    assert torch.equal(questions.state[ROW], each.state)


def test_first_facts():
    assert first_facts(ROW, 3).tolist() == [0, 2, 3]
