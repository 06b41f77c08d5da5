import os
import subprocess
import sys

import pytest
import torch

from torch_geometric_dsom.errors import CheckpointError, ConfigError
from torch_geometric_dsom.trainer.run_directory import RunDirectory

IDENTITY = {"seed": 0, "rank": 4}


def test_the_last_checkpoints_are_kept_and_go_when_the_phase_is_finished(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY, keep=2)
    with run.locked():
        for epoch in range(5):
            run.save("student", {"epoch": epoch, "x": torch.tensor([epoch])})
        assert [path.name for path in run.checkpoints("student")] == ["00000004", "00000005"]
        assert run.latest("student")["epoch"] == 4
        assert run.latest("student")["x"].tolist() == [4]
        run.save("teacher/image", {"epoch": 7})
        run.finish("student", {"mrr": 0.5})
        assert run.checkpoints("student") == []
        assert run.latest("teacher/image") == {"epoch": 7}  # another phase is left alone
        run.finish("teacher/image", {"mrr": 0.25})
        assert run.latest("student") is None
        run.save("student", {"epoch": 0})
    again = RunDirectory(tmp_path, IDENTITY, resume=True)
    with again.locked():
        assert again.finished("teacher/image") == {"mrr": 0.25}
        assert again.finished("student") == {"mrr": 0.5}
        assert again.finished("ce_only") is None
        assert again.latest("student") == {"epoch": 0}


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


def test_a_run_begun_before_an_option_was_there_goes_on_with_its_default(tmp_path):
    with RunDirectory(tmp_path, IDENTITY).locked():
        pass
    defaults = {"rank": 100, "rule_weight": 0.0}
    new = {**IDENTITY, "rule_weight": 0.0}
    with RunDirectory(tmp_path, new, resume=True, defaults=defaults).locked():
        pass
    with (
        pytest.raises(CheckpointError, match="the run there has rule_weight=0.0, got 2.0"),
        RunDirectory(tmp_path, {**IDENTITY, "rule_weight": 2.0}, resume=True, defaults=defaults).locked(),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match="the run there has rank=4, got 100"),
        RunDirectory(tmp_path, {"seed": 0}, resume=True, defaults=defaults).locked(),
    ):
        pass


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
        run.save("student", {"epoch": 1})
        (tmp_path / "checkpoints" / "student" / "00000002").mkdir()
        (tmp_path / "checkpoints" / "student" / "00000002" / "tensors-abc.safetensors").write_bytes(b"half")
        assert run.latest("student") == {"epoch": 1}
        run.save("student", {"epoch": 2})
        assert run.latest("student") == {"epoch": 2}
        assert [path.name for path in run.checkpoints("student")] == ["00000001", "00000003"]
        assert sorted(os.listdir(tmp_path / "checkpoints" / "student")) == ["00000001", "00000003"]  # the half is gone


def damage(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    return whole


def test_damage_is_an_error_that_names_the_file(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY)
    with run.locked():
        run.save("student", {"x": torch.arange(4)})
        for path in sorted(run.checkpoints("student")[0].iterdir()):
            whole = damage(path)
            again = RunDirectory(tmp_path, IDENTITY, resume=True)
            with (
                pytest.warns(UserWarning, match=f"{path.parent}.*there is none before it"),
                pytest.raises(CheckpointError, match=f"{path.parent}.*; remove .* to begin 'student' again"),
            ):
                again.latest("student")
            path.write_bytes(whole)
        assert run.latest("student")["x"].tolist() == [0, 1, 2, 3]
        run.finish("student", {"mrr": 0.5})
        damage(next((tmp_path / "phases" / "student").glob("meta-*")))
        with pytest.raises(CheckpointError, match="damaged.*; remove .*phases/student to train 'student' again"):
            run.finished("student")


def test_the_one_before_a_damaged_checkpoint_counts_and_stays(tmp_path):
    run = RunDirectory(tmp_path, IDENTITY, keep=2)
    with run.locked():
        for epoch in (1, 2):
            run.save("student", {"epoch": epoch})
        bad = run.checkpoints("student")[1]
        damage(next(bad.glob("meta-*")))
        with pytest.warns(UserWarning, match=f"{bad}.*damaged.*; going back to .*00000001"):
            assert run.latest("student") == {"epoch": 1}
        assert bad.is_dir()  # until there is a newer one
        run.save("student", {"epoch": 3})
        assert [path.name for path in run.checkpoints("student")] == ["00000001", "00000003"]
        assert not bad.exists()


def test_how_many_are_kept(tmp_path):
    with pytest.raises(ConfigError, match="keep: expected a positive number, got 0"):
        RunDirectory(tmp_path, IDENTITY, keep=0)
    run = RunDirectory(tmp_path, IDENTITY, keep=1)
    with run.locked():
        for epoch in range(3):
            run.save("student", {"epoch": epoch})
        assert len(run.checkpoints("student")) == 1
        assert run.latest("student") == {"epoch": 2}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(CheckpointError, match="could not be written"),
        RunDirectory(tmp_path / "run", IDENTITY).locked(),
    ):
        pass
