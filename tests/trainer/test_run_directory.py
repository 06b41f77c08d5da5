import os
import subprocess
import sys

import pytest
import torch

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.run_directory import RunDirectory

IDENTITY = {"seed": 0, "rank": 4}


def test_the_last_checkpoints_are_kept_and_go_when_the_phase_is_finished(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY, keep=2)
    with run.locked():
        for epoch in range(5):
            run.save({"epoch": epoch, "x": torch.tensor([epoch])})
        assert [path.name for path in run.checkpoints()] == ["00000004", "00000005"]
        assert run.latest()["epoch"] == 4
        assert run.latest()["x"].tolist() == [4]
        run.finish("teacher/image", {"mrr": 0.25})
        assert run.checkpoints() == []
        assert run.latest() is None
        run.save({"epoch": 0})
    again = RunDirectory(tmp_path, IDENTITY, resume=True)
    with again.locked():
        assert again.finished("teacher/image") == {"mrr": 0.25}
        assert again.finished("student") is None
        assert again.latest() == {"epoch": 0}


def test_a_run_is_not_touched_by_mistake(tmp_path):
    with RunDirectory(tmp_path / "run", IDENTITY).locked():
        pass
    with (
        pytest.raises(CheckpointError, match="holds a run already; set resume=True"),
        RunDirectory(tmp_path / "run", IDENTITY).locked(),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match="the run there has rank=4, got 8"),
        RunDirectory(tmp_path / "run", {**IDENTITY, "rank": 8}, resume=True).locked(),
    ):
        pass
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("cat")
    with (
        pytest.raises(CheckpointError, match="found 'cat.txt'"),
        RunDirectory(tmp_path / "photos", IDENTITY, resume=True).locked(),
    ):
        pass
    assert (tmp_path / "photos" / "cat.txt").read_text() == "cat"


def test_a_run_belongs_to_one_process(tmp_path):
    code = """
import sys
from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.run_directory import RunDirectory
try:
    with RunDirectory(sys.argv[1], {"seed": 0, "rank": 4}, resume=True).locked():
        print("entered")
except CheckpointError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = RunDirectory(tmp_path, IDENTITY)
    with run.locked(), run.locked():  # by whom it has may enter again
        inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert inside.strip() == f"{tmp_path}: another process works on this run"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "entered"


def test_a_checkpoint_that_was_cut_off_is_none(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY)
    with run.locked():
        run.save({"epoch": 1})
        (tmp_path / "checkpoints" / "00000002").mkdir()
        (tmp_path / "checkpoints" / "00000002" / "tensors-abc.safetensors").write_bytes(b"half")
        assert run.latest() == {"epoch": 1}
        run.save({"epoch": 2})
        assert run.latest() == {"epoch": 2}
        assert [path.name for path in run.checkpoints()] == ["00000001", "00000002"]


def test_damage_is_an_error_that_names_the_file(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY)
    with run.locked():
        run.save({"x": torch.arange(4)})
        for path in sorted(run.checkpoints()[0].iterdir()):
            whole = path.read_bytes()
            path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
            with pytest.raises(CheckpointError, match=str(path.parent)):
                run.latest()
            path.write_bytes(whole)
        assert run.latest()["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(CheckpointError, match="could not be written"),
        RunDirectory(tmp_path / "run", IDENTITY).locked(),
    ):
        pass
