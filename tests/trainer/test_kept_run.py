import pytest
import torch
from torch_geometric.data import Data

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.nn import ComplEx
from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.kept_run import KeptRun
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

GRAPH = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_type=torch.tensor([0, 0]), num_nodes=3, num_relations=1)
RUN = 0, DSoMConfig(rank=2), GRAPH


def test_nothing_is_kept_until_a_folder_is_told():
    kept = KeptRun()
    with kept.opened(*RUN, {}) as run:
        assert run is None
        assert not kept.is_open


def test_the_folder_is_open_once_and_what_was_there_first_tells_the_run(tmp_path):
    kept = KeptRun()
    kept.set(tmp_path / "run", every=3, keep=4)
    teacher = ComplEx(3, 1, rank=2)
    with kept.opened(*RUN, {"image": teacher, "agent": None}) as run:
        assert (kept.is_open, run.keep, kept.every) == (True, 4, 3)
        with kept.opened(*RUN, {}) as inner:
            assert inner is run
        assert kept.is_open
    assert not kept.is_open
    with kept.opened(*RUN, {"student": teacher}):  # trained meanwhile: still the same run
        pass
    other = KeptRun()
    other.set(tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match="the run there has image='ComplEx"), other.opened(*RUN, {}):
        pass


def test_another_folder_is_another_run(tmp_path):
    kept = KeptRun()
    kept.set(tmp_path / "one", resume=True)
    with kept.opened(*RUN, {}):
        pass
    kept.set(tmp_path / "two")
    assert not kept.resume
    kept.set(tmp_path / "one")
    with pytest.raises(CheckpointError, match="holds a run already"), kept.opened(*RUN, {}):
        pass
    for name, values in (("checkpoint_every", {"every": 0}), ("keep_checkpoints", {"keep": 0})):
        with pytest.raises(ConfigError, match=f"{name}: expected a positive number, got 0"):
            kept.set(**values)


def test_a_run_of_before_an_option_goes_on(tmp_path, small_graph, small_options):
    trainer = DSoMTrainer(progress=False, checkpoint_dir=tmp_path / "run", **small_options).fit(small_graph, epochs=1)
    mark = tmp_path / "run" / "identity"
    told, tensors = load_directory(mark)
    assert told.pop("rule_weight") == 0.0
    save_directory(mark, told, tensors)
    again = DSoMTrainer(progress=False, checkpoint_dir=tmp_path / "run", resume=True, **small_options)
    again.fit(small_graph, epochs=1)
    assert torch.equal(again.student.entity, trainer.student.entity)
