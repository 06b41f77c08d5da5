"""What is told before a run is what the run takes, and one that cannot fit does not begin."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.data import PathIndex
from torch_geometric_dsom.errors import ConfigError, DSoMError, MemoryBudgetError
from torch_geometric_dsom.nn import FrequencyScorer, PathScorer, RidgeScorer, RuleScorer
from torch_geometric_dsom.trainer import DSoMConfig, MemoryEstimate, estimate_memory
from torch_geometric_dsom.trainer import soft_label_cache as caches
from torch_geometric_dsom.trainer.experts import make_experts

ROOT = Path(__file__).parents[2]
MEASURE = """
import json, sys
import psutil, torch
from torch_geometric.data import Data
from torch_geometric_dsom import DSoMTrainer

g = torch.Generator().manual_seed(0)
options = json.loads(sys.argv[1])
data = Data(num_nodes=6_000 if "ridge_weight" in options else 20_000, num_relations=4)  # its time grows faster
for prefix, count in (("", 400), ("val_", 32)):
    data[f"{prefix}edge_index"] = torch.randint(data.num_nodes, (2, count), generator=g)
    data[f"{prefix}edge_type"] = torch.randint(4, (count,), generator=g)
data.x_image = torch.randn(data.num_nodes, 32, generator=g)
data.image_mask = torch.rand(data.num_nodes, generator=g) < 0.7
trainer = DSoMTrainer(progress=False, **options)
told = trainer.estimate_memory(data).total()
before = psutil.Process().memory_info().rss
trainer.fit(data)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([1024 * int(peak.split()[1]) - before, told]))
"""
FIT = {"epochs": 1, "batch_size": 128, "workspace_bytes": 32 << 20}
SIZES = {"rank": 64, "teacher_hidden": 128, "student_fit": FIT, "teacher_fit": FIT, "cache_bytes": 100 << 20}


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"scorer": "transe", "teacher_scorer": "transe"}, marks=pytest.mark.slow),
        pytest.param({"rank": 256}, marks=pytest.mark.slow),
        pytest.param({"cache_bytes": 500 << 20}, marks=pytest.mark.slow),
        pytest.param({"crossfit": 2}, marks=pytest.mark.slow),
        pytest.param({"rule_weight": 2.0}, marks=pytest.mark.slow),
        pytest.param({"ridge_weight": 2.0}, marks=pytest.mark.slow),
        pytest.param({"path_weight": 1.0, "path_fit": {"epochs": 1}}, marks=pytest.mark.slow),
        pytest.param({"cache": "none", "gradient": "reinforce", "teacher_dtype": "bfloat16"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_what_is_taken_lies_between_half_of_the_estimate_and_five_quarters(options):
    command = [sys.executable, "-c", MEASURE, json.dumps(SIZES | options)]
    taken, told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert 0.5 * told <= taken <= 1.25 * told, (taken, told)


def huge(num_nodes: int) -> Data:
    """A graph that is small until somebody makes a table for it."""
    data = Data(num_nodes=num_nodes, num_relations=1)
    data.edge_index = torch.arange(200).view(2, 100)
    data.edge_type = torch.zeros(100, dtype=torch.long)
    return data


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, r"student: expected to need [\d,]{4,}\.\d GiB \(training .*available; lower rank"),
        ({"rank": 1, "scorer": "distmult"}, "lower workspace_bytes or batch_size of student_fit and teacher_fit"),
    ],
)
def test_what_cannot_fit_does_not_begin(options, told):
    before = psutil.Process().memory_info().rss
    with pytest.raises(MemoryBudgetError, match=told) as failure:
        DSoMTrainer(progress=False, **options).fit(huge(10**10))
    assert isinstance(failure.value, DSoMError)
    assert psutil.Process().memory_info().rss - before < 50 << 20


def test_soft_labels_beyond_what_is_there_are_told_by_name():
    trainer = DSoMTrainer(progress=False, rank=1, cache_bytes=1 << 40, memory_bytes=1 << 33)
    with pytest.raises(
        MemoryBudgetError, match=r"student: .*\(soft labels 7\.\d GiB, .*8\.0 GiB are available; lower cache_bytes"
    ):
        trainer.fit(huge(10_000_000))
    assert trainer.teachers == {}


def test_each_step_is_checked(small_graph, small_options, trained):
    for step in ("fit", "fit_teachers", "fit_baseline"):
        with pytest.raises(MemoryBudgetError, match=r"0\.0 MiB are available"):
            getattr(DSoMTrainer(progress=False, memory_bytes=1000, **small_options), step)(small_graph)
    given = DSoMTrainer(progress=False, memory_bytes=1000, teachers=trained.teachers, **small_options)
    with pytest.raises(MemoryBudgetError, match=r"student: .*are available"):
        given.fit_student(small_graph)


def test_models_count_to_the_byte(small_graph):
    config = DSoMConfig(rank=3, teacher_hidden=5, joint_expert=True, structure_experts=2, scorer="tucker")
    experts = make_experts(small_graph, config, lambda name: torch.Generator().manual_seed(0))
    held = sum(value.numel() * 4 for expert in experts.values() for value in expert.parameters())
    assert estimate_memory(small_graph, config).phases["teacher/structure"]["models"] == held


def test_the_cache_counts_to_the_byte(small_graph, trained):
    config = DSoMConfig()
    cache = caches.SoftLabelCache(torch.arange(17), 4, 60, 1 << 20)
    head, relation, tail = small_graph.edge_index[0], small_graph.edge_type, small_graph.edge_index[1]
    queries = {(int(h), int(r)) for h, r in zip(head, relation, strict=True)}
    queries |= {(int(t), int(r) + 3) for t, r in zip(tail, relation, strict=True)}
    told = estimate_memory(small_graph, config).phases["student"]["soft labels"]
    assert told == len(queries) * cache.num_bytes // 17
    assert estimate_memory(small_graph, DSoMConfig(cache="mmap")).phases["student"]["soft labels"] == 0
    few = estimate_memory(small_graph, DSoMConfig(cache_bytes=5000)).phases["student"]["soft labels"]
    assert few == 10 * cache.num_bytes // 17


def test_rules_count_their_paths(small_graph):
    plain = estimate_memory(small_graph, DSoMConfig())
    ruled = estimate_memory(small_graph, DSoMConfig(rule_weight=1.0))
    paths = PathIndex(small_graph).num_paths
    assert ruled.phases["teacher/fused"]["rules"] > 16 * paths
    assert ruled.phases["student"]["models"] - plain.phases["student"]["models"] == 8 * paths
    rules = RuleScorer.from_data(small_graph)
    assert 0 < 4 * (rules.path.numel() + rules.tail.numel()) <= 8 * paths


def test_resembling_entities_count_their_inverse(small_graph):
    plain = estimate_memory(small_graph, DSoMConfig())
    ridge = estimate_memory(small_graph, DSoMConfig(ridge_weight=1.0))
    solved = RidgeScorer.from_data(small_graph).solve()
    inverse, sums = 4 * solved.inverse.numel(), 4 * solved.hub_sums.numel()
    assert sums > 0
    assert ridge.phases["teacher/fused"]["ridge"] == 2 * inverse + sums
    assert ridge.phases["student"]["models"] - plain.phases["student"]["models"] == inverse + sums
    bare = Data(edge_index=small_graph.edge_index, edge_type=small_graph.edge_type, num_nodes=60, num_relations=3)
    assert "teacher/fused" not in estimate_memory(bare).phases
    assert "teacher/fused" in estimate_memory(bare, DSoMConfig(ridge_weight=1.0)).phases


def test_frequencies_count_their_tables(small_graph):
    plain = estimate_memory(small_graph, DSoMConfig())
    counted = estimate_memory(small_graph, DSoMConfig(frequency_weight=1.0))
    more = counted.phases["student"]["models"] - plain.phases["student"]["models"]
    scorer = FrequencyScorer.from_data(small_graph)
    assert more == sum(part.numel() * part.element_size() for part in scorer.state_dict().values())
    # Four matrices of doubles over relations, and what is counted at once.
    assert counted.phases["teacher/fused"]["frequencies"] == more + 4 * 8 * 6**2 + 24 * 6 * 60
    bare = Data(edge_index=small_graph.edge_index, edge_type=small_graph.edge_type, num_nodes=60, num_relations=3)
    assert "teacher/fused" in estimate_memory(bare, DSoMConfig(frequency_weight=1.0)).phases


def test_paths_count_what_messages_take(small_graph):
    plain = estimate_memory(small_graph, DSoMConfig())
    told = estimate_memory(small_graph, DSoMConfig(path_weight=1.0))
    assert list(told.phases) == [*list(plain.phases)[:-2], "teacher/paths", *list(plain.phases)[-2:]]
    facts = PathScorer.from_data(small_graph)
    buffers = sum(part.numel() * part.element_size() for part in facts.buffers())
    kept = told.phases["student"]["models"] - plain.phases["student"]["models"]
    assert kept / 2 < buffers <= kept + 8 * (61 + 7)  # where entities and relations begin is not counted
    more = [estimate_memory(small_graph, DSoMConfig(path_layers=n), parts=["paths"]).total() for n in (1, 2, 3)]
    assert more == sorted(more)
    assert list(estimate_memory(small_graph, parts=["paths"]).phases) == ["teacher/paths"]
    bare = Data(edge_index=small_graph.edge_index, edge_type=small_graph.edge_type, num_nodes=60, num_relations=3)
    assert "teacher/fused" in estimate_memory(bare, DSoMConfig(path_weight=1.0)).phases


def test_narrow_copies_are_of_tables_alone(small_graph):
    def models(**options):
        return estimate_memory(small_graph, DSoMConfig(**options)).phases["student"]["models"]

    narrow = models(teacher_dtype="bfloat16") - models()
    tables = 3 * 60 * 2 * 100  # structure, image, text; as many numbers again in the fused one, at two bytes
    assert narrow == 2 * 2 * tables
    assert models(teacher_dtype="bfloat16", ridge_weight=1.0) - models(ridge_weight=1.0) == narrow
    alone = Data(edge_index=small_graph.edge_index, edge_type=small_graph.edge_type, num_nodes=60, num_relations=3)
    small = [estimate_memory(alone, DSoMConfig(teacher_dtype=dtype)) for dtype in ("float32", "bfloat16")]
    assert small[1].phases["student"]["models"] - small[0].phases["student"]["models"] == 2 * tables // 3


def test_parts_phases_and_folds(small_graph, trained):
    names = ["teacher/structure", "teacher/image", "teacher/text", "teacher/fused"]
    assert list(estimate_memory(small_graph, parts=["teachers"]).phases) == names
    folds = estimate_memory(small_graph, DSoMConfig(crossfit=2))
    assert list(folds.phases) == [prefix + name for prefix in ("", "fold0/", "fold1/") for name in names] + ["student"]
    assert folds.total("fold1/teacher/text") > folds.total("fold0/teacher/text") > folds.total("teacher/text")
    assert list(estimate_memory(small_graph, teachers=trained.teachers).phases) == ["student"]
    assert list(estimate_memory(small_graph, parts=["baseline"]).phases) == ["ce_only"]
    kept = estimate_memory(small_graph, checkpoints=True)
    assert kept.total("student") > estimate_memory(small_graph).total("student")
    with pytest.raises(ConfigError, match=r"parts: .* got 'students'"):
        estimate_memory(small_graph, parts=["students"])


def test_an_estimate_tells_its_peak():
    estimate = MemoryEstimate({"a": {"models": 3 << 20, "training": 0}, "student": {"models": 1 << 30, "workspace": 5}})
    assert (estimate.peak, estimate.total(), estimate.total("a")) == ("student", (1 << 30) + 5, 3 << 20)
    assert str(estimate).splitlines()[0].split() == ["a", "3.0", "MiB", "models", "3.0", "MiB"]
    assert estimate.to_dict()["a"] == {"models": 3 << 20, "training": 0}
    estimate.check((1 << 30) + 5)
    with pytest.raises(MemoryBudgetError, match=r"^student: .*1\.0 GiB \(models 1\.0 GiB, workspace 0\.0 MiB\)"):
        estimate.check((1 << 30) + 4)


def test_a_mapped_cache_is_not_begun_on_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 99}))
    with pytest.raises(MemoryBudgetError, match=r"cache: expected room for 100 bytes in '.*', got 99; lower"):
        caches.SoftLabelCache(torch.arange(5), 1, 10, 1 << 20, folder=tmp_path)
