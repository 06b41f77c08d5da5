from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.data import KnownAnswers
from torch_geometric_dsom.evaluation.fact_batches import fact_batches

N, R = 6, 2
FACTS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 2 * R - 1), st.integers(0, N - 1)), min_size=1)
KNOWN = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, R - 1), st.integers(0, N - 1)), min_size=1)


@given(facts=FACTS, known=KNOWN, size=st.integers(1, 5), processes=st.integers(1, 3))
def test_each_fact_is_in_one_batch_and_each_question_in_one_row(facts, known, size, processes):
    answers: dict[tuple[int, int], set[int]] = {}
    for h, r, t in known:
        answers.setdefault((h, r), set()).add(t)
        answers.setdefault((t, r + R), set()).add(h)
    head, relation, target = torch.tensor(facts).unbind(dim=-1)
    seen, asked = [], []
    for process in range(processes):
        world = SimpleNamespace(rank=process, size=processes)
        for batch in fact_batches(head, relation, target, KnownAnswers(torch.tensor(known), N, R), size, world):
            assert batch.head.numel() == batch.relation.numel() <= size
            questions = list(zip(batch.head.tolist(), batch.relation.tolist(), strict=True))
            asked += questions
            for fact, row, answer in zip(*(x.tolist() for x in (batch.fact, batch.row, batch.target)), strict=True):
                assert facts[fact] == (*questions[row], answer)
                seen.append(fact)
            told: list[set[int]] = [set() for _ in questions]
            for row, entity in zip(*(x.tolist() for x in batch.known), strict=True):
                told[row].add(entity)
            assert told == [answers.get(question, set()) for question in questions]
    assert sorted(seen) == list(range(len(facts)))
    assert sorted(asked) == sorted({(h, r) for h, r, _ in facts})
