"""Kills, faults, changed files and a long run, and what came of them: `benchmarks/reliability/RESULTS.md`.

`python benchmarks/reliability/run.py` does all; names of parts (kill, fault, fuzz, soak) do some of it. What was
measured is kept in `results.json`, from which the page is written.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT, PAGE = HERE / "results.json", HERE / "RESULTS.md"
SEEDS = {"kill": 0, "fuzz": 2500}


def kill() -> dict:
    """Kills runs at five moments of each group, resumes each, compares with one that was not killed."""
    import workload

    with tempfile.TemporaryDirectory() as folder:
        code, whole = workload.start(Path(folder) / "whole")
        assert code == 0
        moments = workload.moments(whole["counts"], 5, SEEDS["kill"])
        for number, moment in enumerate(moments):
            workload.killed_and_resumed(Path(folder) / str(number), moment, whole)
            print(f"killed at {moment[0]} {moment[1]} of {whole['counts'][moment[0]]}: the same bits", file=sys.stderr)
    return {"seed": SEEDS["kill"], "equal": len(moments), "moments": moments, "counts": whole["counts"]}


def fault() -> dict:
    """The tests of faults, counted."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/reliability/test_faults.py"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout
    return {"outcome": shown.strip().splitlines()[-1].split(" in ")[0]}


def fuzz() -> dict:
    """2,500 changed saves against their readers."""
    import fuzz as changed

    with tempfile.TemporaryDirectory() as folder:
        return changed.fuzz(2500, SEEDS["fuzz"], Path(folder))


def soak() -> dict:
    """200 epochs in a process of their own."""
    command = [sys.executable, HERE / "soak.py"]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(shown.stdout)


def record(part: str, found: dict, seconds: float) -> None:
    """Keeps what was found, with where and when, and writes the page."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    kept[part] = {**found, "seconds": round(seconds), "commit": commit.stdout.strip(), "machine": machine()}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(page(kept))


def machine() -> str:
    """Processor and versions."""
    import torch

    kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, one thread"
    return f"{kind}, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"


def page(kept: dict) -> str:
    """The page, from what was kept."""
    lines = [
        "# Reliability",
        "",
        "Written by `benchmarks/reliability/run.py` (`make reliability`); no figure is typed by hand.",
        "",
    ]
    for part, tell in (("kill", _kill), ("fault", _fault), ("fuzz", _fuzz), ("soak", _soak)):
        if part in kept:
            found = kept[part]
            lines += [*tell(found), "", f"Commit {found['commit']}; {found['machine']}; {found['seconds']} s.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _kill(found: dict) -> list[str]:
    lines = [
        "## Kills",
        "",
        f"{len(found['moments'])} runs on `FakeMMKG`, each ended by SIGKILL at a moment drawn by lot (seed "
        f"{found['seed']}) and resumed: final weights of student, teachers and agent, metrics and history equal those "
        f"of the run that was not killed, bit for bit, in {found['equal']} of them. What had been published before the "
        "kill could be read after it, every time.",
        "",
        "| killed in | moments | of |",
        "|---|---|---|",
    ]
    for group, count in found["counts"].items():
        drawn = ", ".join(str(number) for kind, number in found["moments"] if kind == group)
        lines.append(f"| {group} | {drawn} | {count} |")
    return lines


def _fault(found: dict) -> list[str]:
    told = (
        "full disks (a small tmpfs), a read-only mount, calls of the system that fail, each region of each payload "
        "flipped, fields of the manifest removed or wrong, payloads swapped, sizes that are only told"
    )
    return ["## Faults", "", f"{told[0].upper()}{told[1:]}; the tests of these: {found['outcome']}."]


def _fuzz(found: dict) -> list[str]:
    return [
        "## Changed files",
        "",
        f"{found['files']:,} saves (trainer, student, checkpoint) with files changed at random (seed {found['seed']}), "
        f"the sums made right again in two of three, two readers each: {found.get('error of ours', 0):,} errors of "
        f"ours, {found.get('read', 0):,} read, {len(found['failures'])} other exceptions; executed, unpickled or "
        f"opened outside of the folder: {len(found['executed'])}.",
    ]


def _soak(found: dict) -> list[str]:
    mib = {name: f"{found[name] / 2**20:,.1f} MiB" for name in ("after_tenth", "largest_after", "last")}
    return [
        "## A long run",
        "",
        f"{found['epochs']} epochs of the student on EmojiWorld, evaluation and a checkpoint each: resident memory "
        f"{mib['after_tenth']} after the tenth, {mib['largest_after']} at most after it ({found['growth']:+.1%}), "
        f"{mib['last']} at the end; over the second half {found['growth_second_half']:+.1%}.",
    ]


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(ROOT)]
    for name in sys.argv[1:] or ["kill", "fault", "fuzz", "soak"]:
        start = time.time()
        record(name, {"kill": kill, "fault": fault, "fuzz": fuzz, "soak": soak}[name](), time.time() - start)
