"""Several processes on one folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torch_geometric_dsom.datasets.root_lock import root_lock

BUILD = """
import sys, time, zlib
from pathlib import Path
import torch
from torch_geometric.data import Data
from torch_geometric_dsom.datasets.base import MMKGDataset
from torch_geometric_dsom.datasets.encode import content_key, encode

folder = Path(sys.argv[1])

class Slow(MMKGDataset):
    def build(self):
        with open(folder / "built", "a") as file:
            file.write("once ")
        (folder / "begun").touch()
        while len(list(folder.glob("started-*"))) < 3:
            time.sleep(0.05)
        time.sleep(0.5)
        data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=2, num_relations=1)
        texts = [str(number) for number in range(300)]
        data.x, _ = encode(
            [content_key(text) for text in texts], texts.__getitem__, Length(), cache=self._kept, batch_size=7
        )
        return data

class Length:
    def __call__(self, batch):
        return torch.tensor([[float(len(text))] for text in batch])
    def __repr__(self):
        return "Length"

(folder / f"started-{sys.argv[2]}").touch()
data = Slow(folder / "root")[0]
print(zlib.crc32(data.x.numpy().tobytes()), data.edge_index.tolist())
"""


def test_one_makes_the_graph_and_the_others_wait_for_it(tmp_path):
    command = [sys.executable, "-c", BUILD, str(tmp_path)]
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[2]}
    processes = [subprocess.Popen([*command, str(number)], **kwargs) for number in range(3)]
    shown = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], shown
    assert len({out for out, _ in shown}) == 1
    assert (tmp_path / "built").read_text() == "once "
    waited = [error for _, error in shown if "another process makes this graph; waiting for it" in error]
    assert len(waited) >= 1
    assert not list((tmp_path / "root").rglob("*.part"))


def test_who_is_killed_keeps_nobody_out(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from torch_geometric_dsom.datasets.root_lock import root_lock
with root_lock(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    with root_lock(tmp_path):
        assert (tmp_path / ".lock").is_file()


def test_where_nothing_can_be_written_nobody_is_kept_out(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", refuse)
    with root_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_an_error_inside_is_told_and_lets_others_in(tmp_path):
    with pytest.raises(OSError, match="mine"), root_lock(tmp_path):
        raise OSError("mine")
    with root_lock(tmp_path):
        pass
