"""The claim of the method, on a graph of which the truth is known."""

import pytest

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG

OPTIONS = {
    "rank": 64,
    "teacher_hidden": 256,
    "teacher_dropout": 0.3,
    "teacher_fit": {"epochs": 60, "batch_size": 256},
    "student_fit": {"epochs": 30},
    "progress": False,
}


@pytest.mark.slow
def test_the_agent_leaves_out_noise_and_what_misleads_and_that_is_worth_something():
    dataset = FakeMMKG(seed=0)
    data = dataset[0]
    teachers = DSoMTrainer(seed=0, **OPTIONS).fit_teachers(data)
    averaged = DSoMTrainer(seed=0, teachers=teachers, selection="all", **OPTIONS)
    chosen = DSoMTrainer(seed=0, teachers=teachers, **OPTIONS)
    for trainer in (averaged, chosen):
        trainer.fit_student(data)
    shares = chosen.selection(data, split="test")
    assert shares.total["noise"] < 0.1
    image = shares.share[:, shares.teachers.index("image")]
    assert dataset.truth["image"] == ["informative"] * 4 + ["misleading"] * 4
    assert image[:4].mean() > image[4:].mean() + 0.2
    gain = chosen.evaluate(data).mrr - averaged.evaluate(data).mrr
    assert gain > 0.02
