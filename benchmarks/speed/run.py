"""Ours beside plain PyTorch, PyKEEN and PyG, in one process, in turns, in CPU seconds; the ratios have gates.

    python benchmarks/speed/run.py            # writes results.json and RESULTS.md beside this file
    python benchmarks/speed/run.py --short    # fewer batches, T = 3 only, prints and writes nothing
    python benchmarks/speed/run.py --check    # fails where a ratio is worse than its gate by more than 15 %
    python benchmarks/speed/run.py --quality  # test MRR of ours and of the plain way instead; some 20 CPU minutes

Epochs are extrapolated from typical batches. On a machine where nothing else runs, ratios hold to about 5 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import contenders as c
import torch
from quality import quality, quality_table
from workload import in_turns, make_graph

from torch_geometric_dsom.nn.precision import medium_is_exact

HERE = Path(__file__).parent
SLACK = 1.15
# name: (gate, aim, whether more is better)
GATES: dict[str, tuple[float | None, float | None, bool]] = {
    "CE epoch: PyKEEN LCWA over ours": (4.0, 6.0, True),
    "CE epoch: bare PyTorch loop over ours": (2.0, 2.8, True),
    "CE epoch: ours over its matrix products": (1.6, 1.25, False),
    "distillation, T = 3: straightforward over ours": (20.0, 45.0, True),
    "distillation, T = 3: straightforward with a loss for each teacher over ours": (None, None, True),
    "distillation, T = 3: ours over own CE epoch": (2.0, 1.4, False),
    "distillation, T = 7: ours over own CE epoch": (3.0, 2.0, False),
    "distillation, T = 3, bfloat16 teachers, no cache: ours over own CE epoch": (2.0, 1.4, False),
    "distillation, T = 7, bfloat16 teachers, no cache: ours over own CE epoch": (3.0, 2.0, False),
    "whole step with agent, T = 3: over the distillation step": (1.15, 1.05, False),
    "peak memory of the distillation step, T = 3: ours over straightforward": (0.35, 0.2, False),
    "peak memory of the distillation step, T = 3: ours over straightforward, models and data counted in": (
        None,
        None,
        False,
    ),
    "filtered evaluation: PyKEEN at its best batch over ours": (5.0, 12.0, True),
    "evaluation, a rank: PyG test() over ours": (100.0, 200.0, True),
    "import: ours beyond torch_geometric, s": (0.2, 0.05, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="a quick look; writes nothing")
    parser.add_argument("--check", action="store_true", help="fail where a ratio misses its gate by more than 15 %%")
    parser.add_argument("--quality", action="store_true", help="test MRR beside that of the plain way")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(arguments.memory))
        return
    if arguments.quality:
        found = quality()
        print(quality_table(found))
        write({**kept(), "quality": {**found, "commit": commit()}})
        return
    start = time.time()
    ratios, name = measure(arguments.short)
    missed = [key for key, value in ratios.items() if not passes(key, value, SLACK)]
    print(table(ratios))
    if not arguments.short and not arguments.check:
        record = {"ratios": ratios, "graph": name, "seconds": round(time.time() - start), **machine()}
        write(kept() | record)
    if arguments.check and missed:
        sys.exit(f"worse than the gate by more than 15 %: {missed}")


def measure(short: bool) -> tuple[dict[str, float], str]:
    """All ratios, and what graph they are about."""
    data, name = make_graph()
    rounds, batches = (1, 3) if short else (3, 6)
    part = c.Slice(data, batches)
    ratios: dict[str, float] = {}

    pykeen, queries = c.pykeen_training(data, part)
    runs = {
        "products": c.products(data, part),
        "ce": c.cross_entropy(data, part),
        "bare": c.Bare(data, part),
        "pykeen": pykeen,
    }
    seconds = in_turns(runs, rounds)
    own_queries = sum(batch.head.numel() for batch in part.batches)
    ratios["CE epoch: PyKEEN LCWA over ours"] = seconds["pykeen"] / queries / (seconds["ce"] / own_queries)
    ratios["CE epoch: bare PyTorch loop over ours"] = seconds["bare"] / seconds["ce"]
    ratios["CE epoch: ours over its matrix products"] = seconds["ce"] / seconds["products"]

    for count in (3,) if short else (3, 7):
        runs = {
            "ce": c.cross_entropy(data, part),
            "cached": c.distillation(data, part, count, cache=c.CACHE),
            "narrow": c.distillation(data, part, count, dtype="bfloat16"),
            "agent": c.distillation(data, part, count, agent=True, cache=c.CACHE),
        }
        if count == 3:
            runs["straightforward"] = c.Straightforward(data, part, count)
            runs["each"] = c.Straightforward(data, part, count, each=True)
        seconds = in_turns(runs, rounds)
        key = f"distillation, T = {count}"
        ratios[f"{key}: ours over own CE epoch"] = seconds["cached"] / seconds["ce"]
        ratios[f"{key}, bfloat16 teachers, no cache: ours over own CE epoch"] = seconds["narrow"] / seconds["ce"]
        if count == 3:
            ratios[f"{key}: straightforward over ours"] = seconds["straightforward"] / seconds["cached"]
            each = "straightforward with a loss for each teacher over ours"
            ratios[f"{key}: {each}"] = seconds["each"] / seconds["cached"]
            agent = seconds["agent"] / seconds["cached"]
            ratios[f"whole step with agent, T = {count}: over the distillation step"] = agent

    models, ours, theirs = (float(run_apart("--memory", name)) for name in ("models", "ours", "straightforward"))
    key = "peak memory of the distillation step, T = 3: ours over straightforward"
    ratios[key] = (ours - models) / (theirs - models)
    ratios[f"{key}, models and data counted in"] = ours / theirs

    facts, few = (500, 10) if short else (2000, 30)
    some = c.test_slice(data, facts)
    sizes = (256,) if short else (64, 256, 1024)
    runs = {"ours": c.evaluation(some), "pyg": c.pyg_evaluation(some, few)}
    runs |= {f"pykeen/{size}": c.pykeen_evaluation(some, size) for size in sizes}
    seconds = in_turns(runs, rounds)
    best = min(value for key, value in seconds.items() if key.startswith("pykeen"))
    ratios["filtered evaluation: PyKEEN at its best batch over ours"] = best / seconds["ours"]
    ratios["evaluation, a rank: PyG test() over ours"] = (seconds["pyg"] / few) / (seconds["ours"] / (2 * facts))
    ratios["import: ours beyond torch_geometric, s"] = import_seconds()
    return {key: round(ratios[key], 3) for key in GATES if key in ratios}, name


def memory(which: str) -> float:
    """What models, and two distillation steps with them, add to the resident memory of a process at most, MiB."""
    data, _ = make_graph()
    part = c.Slice(data, 1)
    models = {"models": c.models, "ours": c.distillation, "straightforward": c.Straightforward}
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the largest so far
    before = status_mib("VmRSS")
    run = models[which](data, part, 3)
    for _ in range(2):
        run()
    return status_mib("VmHWM") - before


def status_mib(name: str) -> float:
    """A size that the kernel tells of this process, MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def run_apart(*arguments: str) -> str:
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def import_seconds(repeats: int = 5) -> float:
    """Seconds that importing us takes beyond importing torch_geometric, the least of several."""
    code = "import time, torch_geometric; s = time.perf_counter(); import torch_geometric_dsom; "
    code += "print(time.perf_counter() - s)"
    command = [sys.executable, "-c", code]
    found = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(repeats)]
    return min(float(text) for text in found)


def passes(key: str, value: float, slack: float = 1.0) -> bool:
    gate, _, more = GATES[key]
    if gate is None:
        return True
    return value * slack >= gate if more else value <= gate * slack


def table(ratios: dict[str, float]) -> str:
    lines = ["| | measured | gate | aim | |", "|---|---|---|---|---|"]
    for key, value in ratios.items():
        gate, aim, more = GATES[key]
        if gate is None or aim is None:
            lines.append(f"| {key} | {value:.2f} | | | |")
            continue
        sign = ">=" if more else "<="
        verdict = "aim" if (value >= aim if more else value <= aim) else "gate" if passes(key, value) else "missed"
        lines.append(f"| {key} | {value:.2f} | {sign} {gate:g} | {sign} {aim:g} | {verdict} |")
    return "\n".join(lines)


def kept() -> dict[str, object]:
    """What was measured last."""
    file = HERE / "results.json"
    found: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def write(record: dict[str, object]) -> None:
    """Keeps figures as JSON and as a table."""
    (HERE / "results.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (HERE / "RESULTS.md").write_text(report(record), encoding="utf-8")


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def machine() -> dict[str, object]:
    return {
        "commit": commit(),
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "medium_is_exact": medium_is_exact(),
    }


def report(record: dict[str, object]) -> str:
    parts = [(HERE / "preface.md").read_text(encoding="utf-8").rstrip("\n")]
    if "ratios" in record:
        ratios: dict[str, float] = record["ratios"]  # type: ignore[assignment]
        where = f"{record['graph']}; commit {record['commit']}; {record['machine']}; torch {record['torch']}"
        parts += [table(ratios), f"{where}; {record['seconds']} s."]
    if "quality" in record:
        found: dict[str, object] = record["quality"]  # type: ignore[assignment]
        parts += ["## Equal quality", quality_table(found), f"Commit {found['commit']}; {found['cpu_seconds']} CPU s."]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
