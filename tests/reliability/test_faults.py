"""Full disks, folders that cannot be written, and damage: an error of ours, and what was saved before is there."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer import storage
from torch_geometric_dsom.trainer.run_directory import RunDirectory
from torch_geometric_dsom.trainer.storage import load_directory, save_directory

FIRST = {"epoch": 1, "x": torch.arange(5)}
LARGE = {"epoch": 2, "x": torch.zeros(100_000)}


@contextmanager
def mounted(folder, *arguments):
    """A mount, where one may mount."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_full_disk(tmp_path):
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=96k", "tmpfs") as folder:
        run = RunDirectory(folder / "run", {"seed": 0})
        with run.locked():
            run.save("student", FIRST)
            before = files(folder)
            with pytest.raises(CheckpointError, match="could not be written"):
                run.save("student", LARGE)
            assert files(folder) == before
            assert run.latest("student")["epoch"] == 1
            run.save("student", {"epoch": 3})  # there is room for this
            assert run.latest("student") == {"epoch": 3}


def test_a_full_disk_ends_a_run_that_goes_on_later(small_graph, small_options, tmp_path):
    whole = DSoMTrainer(progress=False, **small_options).fit(small_graph)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=128k", "tmpfs") as folder:
        with pytest.raises(CheckpointError, match="could not be written"):
            DSoMTrainer(progress=False, **small_options).fit(small_graph, checkpoint_dir=folder / "run")
        shutil.copytree(folder / "run", tmp_path / "run")
    again = DSoMTrainer(progress=False, **small_options).fit(small_graph, checkpoint_dir=tmp_path / "run", resume=True)
    assert torch.equal(whole.student.entity, again.student.entity)


def test_a_folder_that_is_read_only(tmp_path):
    save_directory(tmp_path / "there" / "save", {"a": 1}, {"x": torch.ones(2)})
    before = files(tmp_path / "there")
    with mounted(tmp_path / "read-only", "--bind", "-o", "ro", str(tmp_path / "there")) as folder:
        for place in (folder / "save", folder / "new"):
            with pytest.raises(CheckpointError, match=f"{place}: could not be written.*Read-only"):
                save_directory(place, {"a": 2}, {})
        with pytest.raises(CheckpointError, match="could not be written"), RunDirectory(folder / "run", {}).locked():
            pass
        assert load_directory(folder / "save")[0] == {"a": 1}
    assert files(tmp_path / "there") == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_any_call_of_a_save_may_fail(tmp_path, monkeypatch, call, code, number):
    save_directory(tmp_path / "save", {"a": 1}, {"x": torch.ones(2)})
    original, calls = getattr(os, call), []

    def fails(*args, **kwargs):
        calls.append(args)
        if len(calls) >= number:
            raise OSError(code, os.strerror(code))
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(storage.os, call, fails)
        if call == "replace" and number > 1:
            save_directory(tmp_path / "save", {"a": 1}, {"x": torch.ones(2)})  # there is one of these
        else:
            with pytest.raises(CheckpointError, match="could not be written"):
                save_directory(tmp_path / "save", {"a": 2}, {})
    assert load_directory(tmp_path / "save")[0] == {"a": 1}
    assert len(os.listdir(tmp_path / "save")) == 3


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    trained.save(folder)
    return folder


def test_each_region_of_each_payload_flipped(saved, tmp_path):
    place = shutil.copytree(saved, tmp_path / "run")
    for path in sorted(place.iterdir()):
        whole = path.read_bytes()
        for number in range(60):
            at = number * (len(whole) - 1) // 59
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << number % 8)]) + whole[at + 1 :])
            if path.name == "manifest.json":  # what it tells people, such as versions, may be another
                with contextlib.suppress(CheckpointError):
                    DSoMTrainer.load(place)
            else:
                with pytest.raises(CheckpointError, match=str(path)):
                    DSoMTrainer.load(place)
            path.write_bytes(whole)
    assert torch.equal(DSoMTrainer.load(place).student.entity, DSoMTrainer.load(saved).student.entity)


def fields(tree, prefix=()):
    for name, value in tree.items():
        yield (*prefix, name)
        if isinstance(value, dict):
            yield from fields(value, (*prefix, name))


def test_fields_of_the_manifest_removed_or_wrong(saved, tmp_path):
    place = shutil.copytree(saved, tmp_path / "run")
    path = place / "manifest.json"
    text = path.read_text()
    payloads = {name: content for name, content in files(place).items() if name != "manifest.json"}
    seen = 0
    for way in ("removed", None, 0, -1, [], {}, "x", "../../etc/passwd", 99, True):
        for field in fields(json.loads(text)):
            if way in ("x", "../../etc/passwd") and field[0] in storage.WRITERS:
                continue  # any text will do
            manifest = json.loads(text)
            inner = manifest
            for name in field[:-1]:
                inner = inner[name]
            if way == "removed":
                del inner[field[-1]]
            else:
                inner[field[-1]] = way
            path.write_text(json.dumps(manifest))
            with pytest.raises(CheckpointError, match=str(place)):
                DSoMTrainer.load(place)
            seen += 1
    assert seen > 90
    assert {name: content for name, content in files(place).items() if name != "manifest.json"} == payloads
    path.write_text(text)
    assert DSoMTrainer.load(place).vocabulary is not None


def test_payloads_that_were_swapped(saved, tmp_path):
    place = shutil.copytree(saved, tmp_path / "run")
    meta, tensors = next(place.glob("meta-*")), next(place.glob("tensors-*"))
    one, other = meta.read_bytes(), tensors.read_bytes()
    meta.write_bytes(other)
    tensors.write_bytes(one)
    with pytest.raises(CheckpointError, match="damaged"):
        DSoMTrainer.load(place)


def test_what_is_saved_is_read_whole(trained, saved):
    again = DSoMTrainer.load(saved)
    assert {phase: (r.best_epoch, len(r.history)) for phase, r in again.results.items()} == {
        phase: (r.best_epoch, len(r.history)) for phase, r in trained.results.items()
    }
    assert again.results["student"].best_mrr == trained.results["student"].best_mrr


def test_tables_of_a_size_that_was_only_told_are_not_allocated(saved, tmp_path):
    """Sums are right, sizes are not: no memory is taken for what the file does not hold."""
    meta, tensors = load_directory(saved)
    for change in (
        lambda m: m["models"]["student"].update(num_entities=10**9),
        lambda m: m["models"]["student"]["interaction"].update(rank=10**9),
        lambda m: m["agent"].update(state_dim=10**12),
        lambda m: m["agent"].update(hidden_dim=10**12),
        lambda m: m["agent"].update(num_teachers=60, policy="categorical"),
        lambda m: m["agent"].update(policy="categorical"),
    ):
        wrong = json.loads(json.dumps(meta))
        change(wrong)
        save_directory(tmp_path / "wrong", wrong, tensors)
        with pytest.raises(CheckpointError, match="not a readable save: .*expected"):
            DSoMTrainer.load(tmp_path / "wrong")
