"""Files of a checkpoint, a saved trainer and a saved student, changed at random, against what reads them."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import pickle
import random
import shutil
import struct
import sys
import typing
import warnings
from collections import Counter
from pathlib import Path

ODD = (
    None,
    True,
    -1,
    0,
    2**31,
    2**70,
    1e308,
    float("nan"),
    "",
    "x" * 999,
    "../../secret",
    "\x00",
    [],
    {},
    [[]],
    "cuda",
)
FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "exec",
)


class Bomb:
    """What would run if somebody unpickled it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


class Watch:
    """Notes what is executed and which files are opened while somebody looks; such a hook cannot be taken away."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple) -> None:
        if self.folder is None:
            return
        if event == "exec" and sys._getframe(1).f_code.co_filename == typing.__file__:
            return  # our own annotations
        if event in FORBIDDEN or (event == "open" and not str(arguments[0]).startswith(self.folder)):
            self.seen.append(f"{event} {arguments[0]!r}")


def templates(folder: Path) -> dict[str, Path]:
    """One small save of each kind."""
    from torch_geometric_dsom import DSoMTrainer
    from torch_geometric_dsom.datasets import FakeMMKG

    class CutError(Exception):
        """Leaves a checkpoint in the middle."""

    data = FakeMMKG(seed=0, num_entities=24, num_relations=1, num_kinds=3, num_facts=40)[0]
    fit = {"epochs": 2, "batch_size": 32, "evaluate_every": 1}
    options = {"rank": 2, "teacher_hidden": 2, "student_fit": fit, "teacher_fit": fit, "progress": False}
    trainer = DSoMTrainer(**options).fit(data)
    trainer.save(folder / "trainer")
    trainer.export_student().save(folder / "student")

    def cut(record: dict) -> None:
        if (record["phase"], record["epoch"]) == ("student", 2):
            raise CutError

    with contextlib.suppress(CutError):
        DSoMTrainer(**options).fit(data, on_epoch=cut, checkpoint_dir=folder / "run")
    (place,) = (folder / "run" / "checkpoints" / "student").iterdir()
    return {"trainer": folder / "trainer", "student": folder / "student", "checkpoint": place}


def readers(place: Path, kind: str) -> list:
    """What reads a save of a kind."""
    from torch_geometric_dsom import DSoMTrainer
    from torch_geometric_dsom.trainer import Student
    from torch_geometric_dsom.trainer.run_directory import RunDirectory
    from torch_geometric_dsom.trainer.storage import load_directory

    if kind == "checkpoint":
        run = place.parents[2]
        return [lambda: load_directory(place), lambda: RunDirectory(run, {}).latest("student")]
    return [lambda: DSoMTrainer.load(place, device="cpu"), lambda: Student.load(place)]


def fuzz(count: int, seed: int, folder: Path) -> dict:
    """Reads so many changed saves; anything but a value or an error of ours is a failure.

    Args:
        count (int): How many.
        seed (int): Of the changes.
        folder (Path): An empty folder.
    """
    from torch_geometric_dsom.errors import DSoMError

    draw, outcomes, failures = random.Random(seed), Counter(), []
    watch, kinds = Watch(), templates(folder / "whole")
    whole = {kind: {path.name: path.read_bytes() for path in place.iterdir()} for kind, place in kinds.items()}
    for kind, place in kinds.items():  # what is imported when it is first needed is imported now
        for read in readers(place, kind):
            read()
    for number in range(count):
        kind = draw.choice(list(whole))
        files = mutate(whole[kind], draw)
        place = folder / "changed" / "run" / "checkpoints" / "student" / "00000001"
        shutil.rmtree(folder / "changed", ignore_errors=True)
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).write_bytes(content)
        for read in readers(place, kind):
            watch.folder = str(folder / "changed")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read()
                outcomes["read"] += 1
            except DSoMError:
                outcomes["error of ours"] += 1
            except BaseException as error:
                watch.folder = None
                outcomes["failure"] += 1
                failures.append(f"{number} {kind}: {error!r}"[:500])
            watch.folder = None
    return {"files": count, "seed": seed, **outcomes, "failures": failures[:10], "executed": watch.seen[:10]}


def mutate(files: dict[str, bytes], draw: random.Random) -> dict[str, bytes]:
    """The files of a save with a change or two; in two cases of three the sums are made right again."""
    files = dict(files)
    manifest = json.loads(files["manifest.json"])
    names = {kind: entry["name"] for kind, entry in manifest["files"].items()}
    target = draw.choice(["manifest.json", names["meta"], names["meta"], names["tensors"], names["tensors"]])
    way = draw.randrange(4)
    if way == 0 and target != names["tensors"]:
        files[target] = _changed_json(files[target], draw)
    elif way == 0:
        (length,) = struct.unpack("<Q", files[target][:8])
        header = _changed_json(files[target][8 : 8 + length], draw)
        files[target] = struct.pack("<Q", len(header)) + header + files[target][8 + length :]
    elif way == 1:
        other = draw.choice([pickle.dumps(Bomb()), files[names["meta"]], files[names["tensors"]], b"", b"PK\x03\x04"])
        files[target] = other
    else:
        for _ in range(draw.choice([1, 1, 3, 20])):
            files[target] = _changed_bytes(files[target], draw)
    if draw.random() < 2 / 3 and target != "manifest.json":
        for kind, name in names.items():
            manifest["files"][kind]["sha256"] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    return files


def _changed_bytes(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return draw.randbytes(9)
    # Half of the time near the beginning, where headers are.
    place = draw.randrange(min(len(content), 300) if draw.random() < 0.5 else len(content))
    size = draw.choice([1, 1, 8, 100])
    piece = content[place : place + size]
    change = draw.choice(
        [
            bytes(x ^ (1 << draw.randrange(8)) for x in piece),
            b"",
            piece * 2,
            draw.randbytes(len(piece)),
            b"\xff" * len(piece),
            b"9" * len(piece),
        ]
    )
    cut = draw.random() < 0.1
    return content[:place] if cut else content[:place] + change + content[place + size :]


def _changed_json(content: bytes, draw: random.Random) -> bytes:
    """A value somewhere in it is another one, is gone, or is there twice."""
    tree = copy.deepcopy(json.loads(content))
    place, depth = tree, 0
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = draw.choice(keys)
        inner = place[key]
        if isinstance(inner, (dict, list)) and inner and (draw.random() < 0.8 or depth == 0):
            place, depth = inner, depth + 1
            continue
        if draw.random() < 0.2:
            del place[key]
        else:
            near = [inner * 2, inner + 1, -inner] if isinstance(inner, (int, float)) else []
            place[key] = draw.choice([*ODD, *near * 4])
        break
    text = json.dumps(tree)
    if draw.random() < 0.05:
        text = "[" * 5000 + text
    return text.encode()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(fuzz(int(sys.argv[1]), int(sys.argv[2]), Path(temporary)), indent=1))
