"""The same seed gives the same bytes, whatever the process, and leaves the process as it was."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.trainer import DistillationObjective

JOB = "import runpy, sys, json; runpy.run_path(sys.argv[1], {'JOB': json.loads(sys.argv[2])}, '__job__')"


def test_two_processes(workload, tmp_path):
    found = []
    for seed in ("1", "2"):
        job = {"folder": str(tmp_path / seed), "result": str(tmp_path / f"{seed}.json"), "moment": None}
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
        subprocess.run([sys.executable, "-c", JOB, workload.__file__, json.dumps(job)], check=True, env=environment)
        found.append(json.loads((tmp_path / f"{seed}.json").read_text()))
    assert found[0] == found[1]


def test_parts_of_batches(small_graph, small_options, monkeypatch):
    """A batch that is computed in parts is the same batch, but for the order of sums."""
    students, counts, asked, view = [], [], [], DistillationObjective.view

    def count(*args, **kwargs):
        asked.append(1)
        return view(*args, **kwargs)

    monkeypatch.setattr(DistillationObjective, "view", count)
    for rows in (240, 70):  # the held-out facts of the agent's lesson come in 64 rows in both cases
        fit = {"epochs": 2, "batch_size": 240, "workspace_bytes": 4 * 12 * 60 * rows}
        asked.clear()
        students.append(DSoMTrainer(progress=False, **{**small_options, "student_fit": fit}).fit(small_graph).student)
        counts.append(len(asked))
    assert counts[1] > counts[0]  # in parts indeed
    assert torch.allclose(students[0].entity, students[1].entity, atol=2e-3)


def states():
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), (name, keys.tolist(), *rest), random.getstate()


def test_global_random_states_stay(small_graph, small_options):
    before = states()
    trainer = DSoMTrainer(progress=False, **{**small_options, "student_dropout": 0.2}).fit(small_graph, epochs=1)
    trainer.fit_baseline(small_graph, epochs=1)
    assert states() == before
    trainer.evaluate(small_graph)
    trainer.predict(small_graph, head="e0", relation="r0")
    trainer.selection(small_graph)
    assert states() == before
