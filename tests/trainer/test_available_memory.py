import resource
import subprocess
import sys
from pathlib import Path

import psutil

from torch_geometric_dsom.trainer import available_memory
from torch_geometric_dsom.trainer.available_memory import cgroups_left


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def left(root: Path, line: str) -> list[int]:
    (root / "own").write_text(f"1:name=systemd:/\n{line}\n")
    return list(cgroups_left(root, root / "own"))


def test_groups_of_the_second_version_up_to_the_top(tmp_path):
    stat = "anon 5\ninactive_file 20\n"
    write(tmp_path / "job" / "step", memory__max="1000", memory__current="300", memory__stat=stat)
    write(tmp_path / "job", memory__max="max", memory__current="300", memory__stat=stat)
    write(tmp_path, memory__max="500", memory__current="400", memory__stat=stat)
    assert left(tmp_path, "0::/job/step") == [720, 120]


def test_groups_of_the_first_version(tmp_path):
    files = {"memory__limit_in_bytes": "1000", "memory__usage_in_bytes": "900", "memory__stat": "total_inactive_file 7"}
    write(tmp_path / "memory" / "job", **files)
    assert left(tmp_path, "4:memory:/job") == [107]


def test_in_a_container_the_path_is_that_of_the_host(tmp_path):
    write(tmp_path, memory__max="500", memory__current="400", memory__stat="inactive_file 0")
    assert left(tmp_path, "0::/docker/abc") == [100]


def test_no_group_no_limit(tmp_path):
    assert list(cgroups_left(tmp_path, tmp_path / "nothing")) == []


def test_never_more_than_the_machine_has_left():
    assert 0 < available_memory() <= psutil.virtual_memory().total


def test_the_limit_of_the_process_counts():
    code = """
import resource, psutil
from torch_geometric_dsom.trainer import available_memory
limit = psutil.Process().memory_info().vms + (1 << 28)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(available_memory())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 <= int(shown) <= 1 << 28
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY  # ours is as it was
