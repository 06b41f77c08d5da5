"""Writes benchmarks/RESULTS.md from the JSON lines of the studies; no figure in it is typed by hand.

python benchmarks/results/tables.py
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from run import merge, read

from torch_geometric_dsom.evaluation import paired_bootstrap
from torch_geometric_dsom.trainer import recommended

HERE = Path(__file__).parent
METRICS = ("mrr", "hits@1", "hits@3", "hits@10")
VARIANTS = json.loads((HERE / "variants.json").read_text(encoding="utf-8"))
Runs = dict[str, dict[int, dict[str, Any]]]
BUCKETS = {
    "query_degree": "training facts of the query entity",
    "target_degree": "training facts of the target",
    "query_modalities": "modalities of the query entity",
    "target_modalities": "modalities of the target",
}
MOST_RELATIONS = 25
RESAMPLES = 10_000  # the smallest p that can be told is 0.0002


def main() -> None:
    preface, findings = ((HERE / name).read_text(encoding="utf-8") for name in ("preface.md", "findings.md"))
    parts = [preface, summary(), *figures(), findings, *(section(path) for path in studies())]
    (HERE.parent / "RESULTS.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def figures() -> list[str]:
    """The pictures that figures.py left."""
    titles = {"degree.png": "MRR by training degree", "selection.png": "Whom the agent chooses, and what pictures show"}
    return [f"![{title}](results/{name})\n" for name, title in titles.items() if (HERE / name).exists()]


def studies() -> list[Path]:
    """The studies of which there are results, the dataset of the package first."""
    found = [path for path in HERE.glob("*.json") if path.with_suffix(".jsonl").exists()]
    return sorted(found, key=lambda path: (path.stem != "emoji_world", path.stem))


def load(study_path: Path) -> tuple[dict[str, Any], Runs]:
    """A study and its records by variant and seed."""
    runs: Runs = {}
    for record in read(study_path.with_suffix(".jsonl")):
        runs.setdefault(record["variant"], {})[record["seed"]] = record
    return json.loads(study_path.read_text(encoding="utf-8")), runs


def students() -> list[str]:
    """DSoM, and what some study recommends, or did."""
    told = (json.loads(path.read_text(encoding="utf-8")) for path in studies())
    named = {name for study in told for name in study.get("recommended", ())}
    return [name for name in VARIANTS if name == "dsom" or name in named]


def summary() -> str:
    """The students against CE-only and the aims: alone, and asked together with guides."""
    lines = [
        "## All datasets",
        "",
        "Filtered test MRR x 100 of students that see structure alone. p: paired bootstrap over queries, the "
        "largest of the seeds', and that of each query's mean over the seeds. Aims: those set before the study; a miss "
        "is a miss. Further rows are of what is recommended, or was, where that is more: rules (*dsom_rules*), and "
        "resembling entities beside them (*dsom_guides*), in the fused teacher; frequencies beside both "
        "(*dsom_counts*, *dsom_counts_half*; *24*: of 24 epochs) or alone (*dsom_frequency*); query entities "
        "left out of soft labels (*dsom_mask_self*); what paths tell (*paths*), with the temperature of the fused "
        "teacher fitted on validation facts (*calibrated*); taught by the students of three seeds "
        "(*second*); by the fused teacher alone (*fused*), with the plain loss (*plain*); "
        "with a smaller penalty than CE-only has (*sharp*, *02*). The students of three seeds "
        "side by side are one model of three times the rank (*three*), compared with CE-only's three.",
        "",
        *against_aims("ce_only"),
        "",
        "The same students asked together with rules and resembling entities, those told by structure alone, against "
        "CE-only asked likewise: another model, which sees no modality either. Weights were chosen by validation, one "
        "for all relations; how that was filtered is told under what was chosen on what:",
        "",
        *against_aims("ce_only_guided", "guided"),
        "",
        "With weights for each relation and direction:",
        "",
        *against_aims("ce_only_guided", "by_relation"),
        "",
        "With how often an entity answers a relation as a third guide, one weight each:",
        "",
        *against_aims("ce_only_guided", "counted"),
        "",
        "And with all three by relation and direction:",
        "",
        *against_aims("ce_only_guided", "counted_by_relation"),
        "",
        "With what paths tell as a fourth guide (`fit_paths`), one weight each:",
        "",
        *against_aims("ce_only_guided", "with_paths"),
        "",
        "And with all four by relation and direction:",
        "",
        *against_aims("ce_only_guided", "with_paths_by_relation"),
    ]
    return "\n".join([*lines, ""])


def like(study: dict[str, Any], name: str, base: str) -> str:
    """What a student of a study is compared with; those side by side with their like."""
    if "side_by_side" not in VARIANTS[name]:
        return base
    alone = study.get("baseline", "ce_only")
    return next((many for many, spec in VARIANTS.items() if spec.get("side_by_side") == alone), "ce_only_three")


def against_aims(base: str, key: str | None = None) -> list[str]:
    """One row for each study and student that it has; of what lies under a key of their records."""
    lines = [
        "| | rank | seeds | CE-only | DSoM | difference | p, worst seed | p, all seeds | aim | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for path in studies():
        study, runs = load(path)
        for name in students():
            if name not in ("dsom", *study.get("recommended", [name] if key else [])):
                continue
            compared = base if key is not None and base in runs else study.get("baseline", "ce_only")
            found = pairs(runs, name, like(study, name, compared))
            rank = next(iter(found.values()))[0].get("rank", 100) if found else 0
            if key is not None:
                found = {seed: (a[key], b[key]) for seed, (a, b) in found.items() if key in a and key in b}
            if not found:
                continue
            gaps = [100 * (mrr(a) - mrr(b)) for a, b in found.values()]
            worst = max(bootstrap(a, b).p_value for a, b in found.values())
            together = bootstrap(*({"ranks": over_seeds(records)} for records in zip(*found.values(), strict=True)))
            own, other = ([mrr(pair[side]) for pair in found.values()] for side in (0, 1))
            aim = study.get("aim")
            reached = "" if aim is None else ("reached" if 100 * statistics.mean(own) >= aim else "missed")
            title = study.get("title", study["dataset"]) + ("" if name == "dsom" else f", *{name}*")
            cells = [title, rank, len(found), cell(other), cell(own), spread(gaps)]
            cells += [f"{worst:.4f}", f"{together.p_value:.4f}", "" if aim is None else aim, reached]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def section(study_path: Path) -> str:
    study, runs = load(study_path)
    records = [record for by_seed in runs.values() for record in by_seed.values()]
    machines = sorted({record["machine"] for record in records})
    commits = sorted({str(record["commit"]) for record in records})
    options = merge(recommended(study["dataset"]), study.get("options", {}))
    clock = "CPU s a run" if all("AVX" in machine for machine in machines) else "s a run, several at a time"
    lines = [
        f"## {study.get('title', study['dataset'])}",
        "",
        f"Filtered test metrics x 100, both directions; mean ± standard deviation over seeds. "
        f"Commit {', '.join(commits)}; {' or '.join(machines)}, torch {records[0]['versions']['torch']}; "
        f"`python benchmarks/results/run.py benchmarks/results/{study_path.name}`. "
        f"Configuration: {'the defaults' if not options else f'`{json.dumps(options)}` over the defaults'}.",
        "",
        *study.get("notes", []),
        *([""] if study.get("notes") else []),
        f"| | seeds | MRR | Hits@1 | Hits@3 | Hits@10 | validation MRR | {clock} |",
        "|---|---|---|---|---|---|---|---|",
        *main_rows(study, runs),
        "",
        *claims(study, runs),
        *curves(runs),
        *asked_with_guides(study, runs),
        *tried(study_path),
        *by_bucket(study, runs),
        *by_relation(study, runs),
        *calibrated(study, runs),
    ]
    return "\n".join(lines)


def main_rows(study: dict[str, Any], runs: Runs) -> list[str]:
    lines = []
    teachers = runs.get("teachers", {})
    for name in next(iter(teachers.values()))["test"] if teachers else ():
        cells = [cell([run["test"][name]["both"][metric] for run in teachers.values()]) for metric in METRICS]
        lines.append(f"| teacher: {name} | {len(teachers)} | {' | '.join(cells)} | | |")
    for name in study["variants"]:
        guided = list(runs.get(f"teachers of {name}", {}).values())
        if guided:
            last = "fused" if all("fused" in run["test"] for run in guided) else "structure"
            for part in ("paths", last) if all("paths" in run["test"] for run in guided) else (last,):
                cells = [cell([run["test"][part]["both"][metric] for run in guided]) for metric in METRICS]
                lines.append(
                    f"| teacher: {part}, of *{VARIANTS[name]['title']}* | {len(guided)} | {' | '.join(cells)} | | |"
                )
    for name in study["variants"]:
        found = list(runs.get(name, {}).values())
        if found and "curve" not in VARIANTS[name]:
            cells = [cell([run["test"]["both"][metric] for run in found]) for metric in METRICS]
            cells.append(cell([run["val_mrr"] for run in found]))
            told = [run["cpu_seconds" if "AVX" in run["machine"] else "seconds"] for run in found]
            told = [seconds for seconds in told if seconds is not None]
            cpu = f"{statistics.mean(told):.0f}" if told else ""
            lines.append(f"| {VARIANTS[name]['title']} | {len(found)} | {' | '.join(cells)} | {cpu} |")
    return lines


def claims(study: dict[str, Any], runs: Runs) -> list[str]:
    lines = [
        "| difference of test MRR x 100 | mean | deviation over seeds | paired bootstrap over queries, per seed |",
        "|---|---|---|---|",
    ]
    for first, second in study["claims"]:
        elsewhere, _, variant = second.rpartition("/")  # of another study
        others = load(HERE / f"{elsewhere}.json")[1] if elsewhere else runs
        found = pairs({first: runs.get(first, {}), second: others.get(variant, {})}, first, second)
        if not found:
            continue
        gaps = [100 * (mrr(a) - mrr(b)) for a, b in found.values()]
        deviation = f"{statistics.stdev(gaps):.2f}" if len(gaps) > 1 else "one seed"
        values = []
        for a, b in found.values():
            result = bootstrap(a, b)
            values.append(f"[{100 * result.low:+.2f}, {100 * result.high:+.2f}] p = {result.p_value:.4f}")
        lines.append(f"| {first} - {second} | {statistics.mean(gaps):+.2f} | {deviation} | {'; '.join(values)} |")
    return [*lines, ""] if len(lines) > 2 else []


def asked_with_guides(study: dict[str, Any], runs: Runs) -> list[str]:
    """Finished students with guides beside them at inference, which see no modality either."""
    return [
        *asked_with(
            study,
            runs,
            "with_rules",
            "The finished students asked together with rules mined from training facts, of a weight that validation "
            "chose (a way of inference that sees no modality either; the table above asks the students alone):",
        ),
        *asked_with(
            study,
            runs,
            "guided",
            "The same with rules and resembling entities, those told by structure alone (`fit_guides`; weights in this "
            "order, one for all relations):",
        ),
        *asked_with(
            study,
            runs,
            "by_relation",
            "The same with weights for each relation and direction; *one for all* is the table before:",
            ("one for all", "guided"),
        ),
        *asked_with(
            study,
            runs,
            "counted",
            "With frequencies, how often an entity answers a relation and which others it answers, as a third guide, "
            "one weight each; *two* is the table with rules and resembling entities alone:",
            ("two", "guided"),
        ),
        *asked_with(
            study,
            runs,
            "counted_by_relation",
            "The same with weights for each relation and direction; *one for all* is the table before:",
            ("one for all", "counted"),
        ),
        *asked_with(
            study,
            runs,
            "with_paths",
            "With paths, told by a small graph neural network (`fit_paths`), as a fourth guide, one weight each; "
            "*three* is the table with three guides and one weight each:",
            ("three", "counted"),
        ),
        *asked_with(
            study,
            runs,
            "with_paths_by_relation",
            "The same with weights for each relation and direction; *one for all* is the table before:",
            ("one for all", "with_paths"),
        ),
        *asked_with(
            study,
            runs,
            "rules_alone",
            "The finished students asked together with rules, of a weight that validation chose (`fit_guides`):",
        ),
        *asked_with(
            study,
            runs,
            "rules_and_paths",
            "With paths, told by a small graph neural network (`fit_paths`), as a second guide, one weight each; "
            "*rules* is the table before:",
            ("rules", "rules_alone"),
        ),
        *asked_with(
            study,
            runs,
            "rules_and_paths_by_relation",
            "The same with weights for each relation and direction; *one for all* is the table before:",
            ("one for all", "rules_and_paths"),
        ),
    ]


def asked_with(
    study: dict[str, Any], runs: Runs, key: str, title: str, before: tuple[str, str] | None = None
) -> list[str]:
    names = [name for name in study["variants"] if any(key in run for run in runs.get(name, {}).values())]
    base = "ce_only_guided" if "ce_only_guided" in names else study.get("baseline", "ce_only")
    if not names:
        return []
    titles = ["", "seeds", "weights", "MRR alone", "MRR guided", f"to {base} guided, paired bootstrap per seed"]
    titles += [f"to {before[0]}, paired bootstrap per seed"] if before else []
    lines = [title, "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name in names:
        found = {seed: run for seed, run in runs[name].items() if key in run}
        weights = ", ".join(sorted({weights_of(run[key]) for run in found.values()}))
        other = {seed: run for seed, run in runs.get(base, {}).items() if seed in found and key in run}
        cells = [VARIANTS[name]["title"], len(found), weights, cell([mrr(run) for run in found.values()])]
        cells.append(cell([mrr(run[key]) for run in found.values()]))
        cells.append(differences([(found[seed][key], run[key]) for seed, run in other.items() if name != base]))
        cells += [differences([(run[key], run[before[1]]) for run in found.values()])] if before else []
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def differences(compared: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Differences of test MRR of pairs of records, each with its p."""
    return "; ".join(f"{100 * (mrr(a) - mrr(b)):+.2f} p = {bootstrap(a, b).p_value:.4f}" for a, b in compared)


def tried(study_path: Path) -> list[str]:
    """What was tried on validation facts, with :mod:`tune`."""
    every = read(study_path.with_suffix(".tuning.jsonl"))
    return [*whole([record for record in every if "seen" not in record]), *halves([r for r in every if "seen" in r])]


def whole(records: list[dict[str, Any]]) -> list[str]:
    """What all validation facts say of some settings."""
    if not records:
        return []
    lines = [
        "Tried on validation facts with `benchmarks/results/tune.py`, seed 0, with the options above but for what a "
        "row says (validation MRR x 100; *all*: of teachers too):",
        "",
        "| | options | best epoch | MRR | its teachers |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        teachers = [f"{name} {100 * value:.2f}" for name, value in list(record["val"].items())[1:]]
        cells = [VARIANTS[record["variant"]]["title"], options_of(record), record["epoch"]]
        cells += [cell([next(iter(record["val"].values()))]), ", ".join(teachers)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def halves(records: list[dict[str, Any]]) -> list[str]:
    """What a student gains on its structure teacher, on validation facts that it was shown and on others."""
    if not records:
        return []
    lines = [
        "Shown one half of the validation facts alone, by which the agent is rewarded and the epoch chosen "
        "(`benchmarks/results/tune.py`, seed 0; validation MRR x 100 of each half, and less that of the structure "
        "teacher, whose epoch all of them chose):",
        "",
        "| | options | shown | other half | gain on shown | gain on other |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        cells = [VARIANTS[record["variant"]]["title"], options_of(record)]
        both = [next(iter(record[half].values())) for half in ("seen", "val")]
        cells += [f"{100 * value:.2f}" for value in both]
        gains = zip(both, (record[half]["structure"] for half in ("seen", "val")), strict=True)
        lines.append(f"| {' | '.join([*cells, *(f'{100 * (a - b):+.2f}' for a, b in gains)])} |")
    return [*lines, ""]


def options_of(record: dict[str, Any]) -> str:
    """What a trial changed."""
    return ", ".join([*flat(record["own"]), *(f"{option} (all)" for option in flat(record["shared"]))])


def flat(options: dict[str, Any]) -> list[str]:
    """Options as ``name=value``, nested ones by their own name."""
    parts = [flat(value) if isinstance(value, dict) else [f"`{name}={value}`"] for name, value in options.items()]
    return [option for part in parts for option in part]


def weights_of(record: dict[str, Any]) -> str:
    weights = record["weights"].values() if "weights" in record else [record["weight"]]
    return " + ".join("by relation" if isinstance(weight, list) else f"{weight:g}" for weight in weights)


def curves(runs: Runs) -> list[str]:
    """MRR over one number of the loss, all others as they are."""
    lines: list[str] = []
    for name in ("alpha", "beta", "temperature", "gamma"):
        points = {}
        for variant, spec in VARIANTS.items():
            if spec.get("curve", [None])[0] == name and variant in runs:
                points[spec["curve"][1]] = runs[variant]
        if points and "dsom" in runs and "config" in next(iter(runs["dsom"].values())):
            seeds = set.intersection(*(set(found) for found in points.values()))
            points[next(iter(runs["dsom"].values()))["config"][name]] = runs["dsom"]
            cells = [
                f"{x:g}: {cell([mrr(found[seed]) for seed in sorted(seeds)])}" for x, found in sorted(points.items())
            ]
            lines.append(f"- {name} (seeds {sorted(seeds)}): {', '.join(cells)}")
    return ["Test MRR over the numbers of the loss, one changed at a time:", "", *lines, ""] if lines else []


def by_bucket(study: dict[str, Any], runs: Runs) -> list[str]:
    """MRR by degree and by modalities, of CE-only and the student with and without unlabelled queries."""
    names = [
        name
        for name in (study.get("baseline", "ce_only"), "average_facts", "dsom_facts", "dsom", "dsom_guides")
        if any("by" in run for run in runs.get(name, {}).values())
    ]
    students = [name for name in names if name.startswith("dsom")]
    if not students:
        return []
    names = [name for name in names if name != "dsom_guides" or name == students[0]]  # beside dsom there is no room
    lines = []
    for by, title in BUCKETS.items():
        some = next(iter(runs[students[0]].values()))["by"][by]
        if len(some) < 2:
            continue
        lines += [f"| {title} | queries | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
        for bucket, (_, count) in some.items():
            cells = [cell([run["by"][by][bucket][0] for run in runs[name].values() if "by" in run]) for name in names]
            lines.append(f"| {bucket} | {count} | {' | '.join(cells)} |")
        lines.append("")
    return ["Test MRR x 100 by what is known of the entities:", "", *lines]


def by_relation(study: dict[str, Any], runs: Runs) -> list[str]:
    """MRR by relation, and whom the agent chooses there."""
    own = {seed: run for seed, run in runs.get("dsom", {}).items() if "selection" in run}
    base = {seed: run for seed, run in runs.get(study.get("baseline", "ce_only"), {}).items() if "by" in run}
    if not own or not base:
        return []
    first = next(iter(own.values()))
    teachers = list(first["selection"]["total"])
    counts = {name: count for name, (_, count) in first["by"]["relation"].items()}
    most = sorted(counts, key=lambda name: -counts[name])[:MOST_RELATIONS]
    known = set(first["selection"]["relations"])
    lines = [
        f"Relations{'' if len(most) == len(counts) else f', the {len(most)} with most test facts'}: test MRR x 100, "
        "and the share (%) of their test facts for which the agent chooses each teacher, both directions together:",
        "",
        f"| relation | queries | CE-only | DSoM | {' | '.join(teachers)} |",
        f"|---|---|---|---|{'---|' * len(teachers)}",
    ]
    for name in most:
        cells = [cell([run["by"]["relation"][name][0] for run in found.values()]) for found in (base, own)]
        if name in known:
            shares = [[run["selection"]["relations"][name][teacher] for run in own.values()] for teacher in teachers]
            cells += [f"{100 * statistics.mean(values):.0f}" for values in shares]
        lines.append(f"| {name} | {counts[name]} | {' | '.join(cells)} |")
    total = [
        f"{100 * statistics.mean([run['selection']['total'][teacher] for run in own.values()]):.0f}"
        for teacher in teachers
    ]
    return [*lines, f"| all | {sum(counts.values())} | | | {' | '.join(total)} |", ""]


def calibrated(study: dict[str, Any], runs: Runs) -> list[str]:
    """How sure the teachers are."""
    lines = []
    for variant in ("teachers", *(f"teachers of {name}" for name in study["variants"])):
        found = [run["calibration"] for run in runs.get(variant, {}).values() if "calibration" in run]
        title = VARIANTS[variant.removeprefix("teachers of ")]["title"] if variant != "teachers" else ""
        for name in found[0] if found else ():
            cells = (cell([run[name][kind] for run in found]) for kind in ("error", "bias"))
            lines.append(f"| {name}{f', of *{title}*' if title else ''} | {' | '.join(cells)} |")
    if not lines:
        return []
    return [
        "Calibration of the teachers on test facts: expected calibration error (10 bins) of the best filtered answer, "
        "and mean confidence minus accuracy; above zero is too sure (x 100):",
        "",
        "| teacher | error | confidence - accuracy |",
        "|---|---|---|",
        *lines,
        "",
    ]


def pairs(runs: Runs, first: str, second: str) -> dict[int, tuple[dict[str, Any], dict[str, Any]]]:
    """The records of two variants, by the seeds that both have."""
    seeds = sorted(set(runs.get(first, {})) & set(runs.get(second, {})))
    return {seed: (runs[first][seed], runs[second][seed]) for seed in seeds}


def bootstrap(first: dict[str, Any], second: dict[str, Any]) -> Any:
    return paired_bootstrap(torch.tensor(first["ranks"]), torch.tensor(second["ranks"]), num_samples=RESAMPLES)


def over_seeds(records: Iterable[dict[str, Any]]) -> list[float]:
    """Harmonic means of each query's ranks, whose reciprocal is the mean over the seeds."""
    return [statistics.harmonic_mean(ranks) for ranks in zip(*(record["ranks"] for record in records), strict=True)]


def mrr(record: dict[str, Any]) -> float:
    return float(record["test"]["both"]["mrr"])


def cell(values: Iterable[float]) -> str:
    return spread([100 * value for value in values])


def spread(values: list[float]) -> str:
    mean = statistics.mean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


if __name__ == "__main__":
    main()
