"""Steps of one process beside two that share batches or entities; memory; a cost model fitted to it all.

    python benchmarks/distributed/run.py            # writes results.json, RESULTS.md and docs/cost_model.md
    python benchmarks/distributed/run.py --short    # small sizes, prints, writes nothing
    python benchmarks/distributed/run.py --million  # the graph of a million entities before that, see million.py

Everything goes over loopback; each process has one thread. On a machine where nothing else runs it takes less than ten
minutes, without the million.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cost_model import Messages, Plan, Steps

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FITTED, HELD_OUT = [10_000, 20_000, 40_000, 160_000, 300_000], 80_000
GATE, TOLERANCE = 1.5, 0.20  # entities dealt out over one process at 40,000 and 160,000; the model on what is held out
GIB = 1 << 30


def torchrun(processes: int, *arguments: object) -> dict[str, Any]:
    """Runs step.py; returns what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        what, *rest = arguments
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
        command += [f"--nproc-per-node={processes}", HERE / "step.py", what, out, *rest]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        subprocess.run([str(part) for part in command], check=True, env=env, timeout=3600)
        return dict(json.loads(out.read_text(encoding="utf-8")))


def measure(short: bool) -> dict[str, Any]:
    sizes = [5_000, 10_000] if short else sorted([*FITTED, HELD_OUT])
    found = torchrun(2, "turns", "--sizes", *sizes, "--rounds", 1 if short else 3)
    memory_at = 10_000 if short else 160_000
    processes = (1, 2) if short else (1, 2, 3, 4)
    found["memory"] = [torchrun(number, "memory", "--sizes", memory_at, "--mode", "entity") for number in processes]
    if not short:
        found["memory"].append(torchrun(2, "memory", "--sizes", memory_at, "--mode", "data"))
    found["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    found["commit"] = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return found


def models(found: dict[str, Any], held_out: int) -> tuple[Messages, dict[str, Steps]]:
    messages = Messages.fit(found["messages"])
    by = {mode: [row for row in found["steps"] if row["mode"] == mode] for mode in ("one", "data", "entity")}
    fitted = {mode: [row for row in rows if row["entities"] != held_out] for mode, rows in by.items()}
    return messages, {mode: Steps.fit(rows, messages) for mode, rows in fitted.items()}


def speedups(found: dict[str, Any], mode: str) -> dict[int, float]:
    """How many times faster than one process, by size."""
    time = {(row["entities"], row["mode"]): row["seconds"] for row in found["steps"]}
    return {size: time[size, "one"] / time[size, mode] for size, kind in time if kind == mode}


def results(found: dict[str, Any]) -> str:
    lines = [
        "# Distributed steps",
        "",
        f"Written by `benchmarks/distributed/run.py` on {found['machine']}, commit {found['commit']}; one thread a",
        "process, two processes, loopback, in turns, medians. A step is that of a default run: 128 labelled and 128",
        "unlabelled queries, three teachers, ComplEx of rank 50, the agent rewarded on held-out facts, no cache.",
        "",
        "| entities | one process, ms | shared batches, ms | dealt out entities, ms | dealt out over one |",
        "|---:|---:|---:|---:|---:|",
    ]
    time = {(row["entities"], row["mode"]): 1e3 * row["seconds"] for row in found["steps"]}
    for size, factor in sorted(speedups(found, "entity").items()):
        ms = " | ".join(f"{time[size, mode]:.0f}" for mode in ("one", "data", "entity"))
        lines.append(f"| {size:,} | {ms} | {factor:.2f} x |")
    last = [row for row in found["steps"] if row["mode"] == "entity"][-1]
    lines += [
        "",
        f"Dealt out, a step sends {last['messages']:.0f} messages, {last['bytes'] / 1e6:.2f} MB together, however many",
        "entities there are: of the labelled batch the look-up of query entities and of the facts' ends, maxima and",
        "sums together with the logits of the answers, and the gradient of the query vectors; the others are of the",
        "unlabelled batch and of the held-out facts.",
        "",
        "| shared | processes | entities | held by the largest process, GiB | at most |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in found["memory"]:
        base = row["imports_bytes"]
        held, peak = ((row[name] - base) / GIB for name in ("held_bytes", "peak_bytes"))
        kind = "-" if row["processes"] == 1 else {"entity": "entities", "data": "batches"}[row["mode"]]
        lines.append(f"| {kind} | {row['processes']} | {row['entities']:,} | {held:.2f} | {peak:.2f} |")
    lines += [
        "",
        "Beyond the imports. The most is while models are built: each process draws them whole, then keeps its part.",
        "",
    ]
    for path in sorted(HERE.glob("million*.json")):
        lines += [million(json.loads(path.read_text(encoding="utf-8"))), ""]
    return "\n".join(lines)


def million(row: dict[str, Any]) -> str:
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in row["seconds"].items())
    return (
        f"A graph of {row['entities']:,} entities and {row['facts']:,} facts, {row['processes']} process(es), "
        f"{row['batches']} batches of each phase and {row['queries']:,} queries (`million.py`): {seconds}; at most "
        f"{max(row['peak_bytes']) / GIB:.1f} GiB a process, pages of the mapped features counted in; mean rank "
        f"{row['mean_rank']:,.0f} after that slice, {row['chance_mean_rank']:,.0f} by chance. {row['machine']}, "
        f"{row['threads']} threads, commit {row['commit']}."
    )


def cost_page(found: dict[str, Any], held_out: int) -> str:
    messages, steps = models(found, held_out)
    lines = [
        "# What a distributed step costs",
        "",
        "Written by `benchmarks/distributed/run.py` from what it measured; see `benchmarks/distributed/RESULTS.md`.",
        "",
        "A step of a process takes a constant, a time for each entity that it works on ($N / P$: a part of the",
        "entities, or all of them for a part of the queries), and its messages, each with a constant and a time a",
        "byte:",
        "",
        "$$t(N, P) = a + b \\, N / P + m \\lambda + V s$$",
        "",
        f"$\\lambda$ = {1e6 * messages.each:.0f} µs and $s$ = {1e9 * messages.byte:.2f} ns a byte were fitted to",
        "sums of 4 B to 4 MB alone (gloo, loopback), $a$ and $b$ to steps at the other sizes, with the least relative",
        "error.",
        "",
        "| way | $a$, ms | $b$, ms for 1,000 entities | messages $m$ | $V$, MB | "
        f"measured at {held_out:,}, ms | predicted, ms | off |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    names = {"one": "one process", "data": "shared batches, $P = 2$", "entity": "dealt out entities, $P = 2$"}
    for mode, name in names.items():
        model = steps[mode]
        row = next(row for row in found["steps"] if row["mode"] == mode and row["entities"] == held_out)
        cells = [1e3 * model.constant, 1e6 * model.entity]
        measured, predicted = 1e3 * row["seconds"], 1e3 * model.seconds(row)
        lines.append(
            f"| {name} | {cells[0]:.1f} | {cells[1]:.2f} | {row['messages']:.0f} | {row['bytes'] / 1e6:.2f} | "
            f"{measured:.0f} | {predicted:.0f} | {100 * model.error(row):+.0f} % |"
        )
    lines += [
        "",
        "That size was not used for the fit. Memory of a process, at 160,000 entities, is in `RESULTS.md`.",
        "",
    ]
    return "\n".join([*lines, *paper(messages)]) + "\n"


def paper(messages: Messages) -> list[str]:
    """Wikidata5M on eight GPUs: nothing of it was run."""
    plan = Plan()
    rate, memory, link, each, host = 40e12, 2.0e12, 100e9, 30e-6, 15e-3
    compute, slabs = plan.operations / rate, (plan.slab_bytes + 2 * plan.table_bytes) / memory
    count = 30
    sent = count * each + 2 * plan.message_bytes / link
    facts, per_query = 20_600_000, 2.0
    step = compute + slabs + sent + host
    epoch = 2 * facts / per_query / plan.queries * step / 3600
    return [
        "## On paper: Wikidata5M on eight GPUs",
        "",
        f"Nothing here was run. {plan.entities:,} entities, {facts:,} facts, {plan.queries} labelled and as many",
        f"unlabelled queries a batch, a student of complex rank {plan.student_dim // 2}, {plan.teachers} teachers",
        f"whose tables have {plan.teacher_dims} columns together, entities dealt out over {plan.processes} GPUs.",
        "Assumptions, each of which scales its line:",
        "",
        f"- products at {rate / 1e12:.0f} TFLOP/s (TF32, sustained), other passes at {memory / 1e12:.1f} TB/s,",
        f"- {plan.passes} passes over a slab of queries times entities: 12 of the student, 8 of each teacher; gradient",
        "  and optimiser go over the student's table twice,",
        f"- {count} messages of {1e6 * each:.0f} µs each, {link / 1e9:.0f} GB/s between GPUs, each byte sent twice,",
        f"- {1e3 * host:.0f} ms a step for what stays on the host: batches, look-up of neighbours, kernel launches,",
        f"- {per_query:.0f} facts a row of a batch.",
        "",
        "| part | a step, a GPU |",
        "|---|---:|",
        f"| products, {plan.operations / 1e12:.1f} TFLOP | {1e3 * compute:.0f} ms |",
        f"| passes, {(plan.slab_bytes + 2 * plan.table_bytes) / 1e9:.0f} GB | {1e3 * slabs:.0f} ms |",
        f"| messages, {plan.message_bytes / 1e6:.0f} MB | {1e3 * sent:.1f} ms |",
        f"| host | {1e3 * host:.0f} ms |",
        f"| **step** | **{1e3 * step:.0f} ms** |",
        f"| student, gradient, optimiser and teachers in memory | {plan.memory_bytes / GIB:.1f} GiB |",
        "",
        f"An epoch over all facts, both ways, then takes about {epoch:.1f} hours. On one GPU the tables would take "
        f"{8 * plan.memory_bytes / GIB:.0f} GiB.",
        'With candidates (`candidates="sampled"`) products and passes fall with the share of entities that are drawn.',
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="a quick look; writes nothing")
    parser.add_argument("--million", action="store_true", help="million.py first, some more minutes")
    parser.add_argument("--again", action="store_true", help="write the pages from results.json, measure nothing")
    arguments = parser.parse_args()
    if arguments.million:
        subprocess.run([sys.executable, HERE / "million.py"], check=True)
    file = HERE / "results.json"
    found = json.loads(file.read_text(encoding="utf-8")) if arguments.again else measure(arguments.short)
    held_out = 10_000 if arguments.short else HELD_OUT
    if arguments.short:
        print(results(found))
        return
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (HERE / "RESULTS.md").write_text(results(found), encoding="utf-8")
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "cost_model.md").write_text(cost_page(found, held_out), encoding="utf-8")
    print(results(found))
    failures = [
        f"{size}: {x:.2f}" for size, x in speedups(found, "entity").items() if size in (40_000, 160_000) and x < GATE
    ]
    for mode, model in models(found, held_out)[1].items():
        row = next(row for row in found["steps"] if row["mode"] == mode and row["entities"] == held_out)
        if abs(model.error(row)) > TOLERANCE:
            failures.append(f"cost model of '{mode}': off by {100 * model.error(row):+.0f} %")
    held = [row["held_bytes"] for row in found["memory"] if row["mode"] == "entity"]
    if held != sorted(held, reverse=True):
        failures.append("memory of a process does not fall with their number")
    if failures:
        sys.exit("missed: " + "; ".join(failures))


if __name__ == "__main__":
    main()
