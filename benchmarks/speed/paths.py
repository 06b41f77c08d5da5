"""What the guide of paths costs a training fact, beside message passing over the whole graph for each query.

    python benchmarks/speed/paths.py [DATASET ...]

The plain way has the same parameters, loss and result: each step makes a message of every fact of the graph for every
query of a batch, as message passing of a graph library would, and masks what has not been reached or leaves a hub. Both
run in one process, in turns; CPU seconds of loss and gradient. Written to ``PATHS.md`` with ``--write``.
"""

import argparse
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from workload import in_turns

from torch_geometric_dsom.data import with_inverses
from torch_geometric_dsom.data.triples import split_triples
from torch_geometric_dsom.datasets import load_dataset
from torch_geometric_dsom.nn import PathScorer
from torch_geometric_dsom.sampler import QueryBatch, QuerySampler
from torch_geometric_dsom.trainer import PathObjective, recommended

HERE = Path(__file__).parent
BATCH, PLAIN = 128, 4  # facts of a batch, as in training; of those that the plain way is timed with
BATCHES = 4
OPTIONS = {"WN18": {"max_degree": 50}}


class Plain(PathScorer):
    """The same network, message by message, of all facts for every query."""

    def evidence(self, head: Tensor, rel: Tensor, left_out: Tensor | None = None) -> Tensor:
        """As of :class:`PathScorer`."""
        rows, entities = torch.arange(head.numel()), self.num_entities
        degree = self.start.diff()
        source, tail, kind = torch.arange(entities).repeat_interleave(degree), self.tail.long(), self.relation.long()
        query = self.query[rel]
        state = torch.zeros(head.numel(), entities, self.dim).index_put((rows, head), query)
        reached = torch.zeros(head.numel(), entities, dtype=torch.bool)
        reached[rows, head] = True
        walks = (degree[source] <= self.max_degree) | (source == head[:, None])
        if left_out is not None:
            inverse = (rel + self.num_relations) % (2 * self.num_relations)
            for one, what, other in ((head, rel, left_out), (left_out, inverse, head)):
                walks &= ~((source == one[:, None]) & (kind == what[:, None]) & (tail == other[:, None]))
        stay = torch.arange(entities)
        source, tail = torch.cat([stay, source]), torch.cat([stay, tail])
        kind = torch.cat([torch.full_like(stay, 2 * self.num_relations), kind])
        walks = torch.cat([torch.ones(head.numel(), entities, dtype=torch.bool), walks], dim=1)
        for layer in self.steps:
            there = walks & reached[:, source]
            known = layer.source(state) + layer.asked(query)[:, None]
            hidden = (known[:, source] + layer.kind(layer.relation)[kind]).relu()
            weight = torch.sigmoid(layer.attention(hidden)) * there[..., None]
            message = weight * (state[:, source] + layer.relation[kind])
            total = torch.zeros_like(state).index_add(1, tail, message)
            told = layer.message(total).relu()
            state = self.update(told.flatten(0, 1), state.flatten(0, 1)).view_as(state)
            reached = torch.zeros(head.numel(), entities).index_add(1, tail, there.float()) > 0
            state = state * reached[..., None]
        asked = query[:, None].expand(-1, entities, -1)
        value = self.out(self.hidden(torch.cat([state, asked], dim=-1)).relu()).squeeze(-1) * reached
        count = torch.zeros(2 * self.num_relations, entities)
        answered = torch.arange(2 * self.num_relations).repeat_interleave(self.answer_start.diff())
        count[answered, self.answer.long()] = self.count.float()
        count = count[rel]
        if left_out is not None:
            some = left_out >= 0
            count[rows[some], left_out[some]] -= 1
        slope, offset = self.prior[rel].unbind(dim=-1)
        return value + torch.where(count > 0, slope[:, None] * count.clamp_min(0).log1p() + offset[:, None], 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=["EmojiWorld", "MKGY", "MKGW", "WN18"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the table")
    arguments = parser.parse_args()
    rows = [row(name, arguments.rounds) for name in arguments.datasets]
    lines = ["| graph | steps | facts, both ways | ours, ms a fact | plain, ms a fact | plain over ours |"]
    table = "\n".join([*lines, "|---|---:|---:|---:|---:|---:|", *rows])
    print(table)
    if arguments.write:
        preface = __doc__.split("\n\n    ")[0] + "\n\n" + __doc__.split("]\n\n")[1].split(" Written to")[0]
        ask = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(ask, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
        where = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        told = f"Commit {commit}; {where}; torch {torch.__version__}; `python benchmarks/speed/paths.py --write`."
        (HERE / "PATHS.md").write_text(f"# Paths\n\n{preface.strip()}\n\n{table}\n\n{told}\n", encoding="utf-8")


def row(name: str, rounds: int) -> str:
    """The figures of a graph."""
    data = load_dataset(name, text_encoder="none", image_encoder="none")
    shape = {"layers": recommended(name).get("path_layers", 3), **OPTIONS.get(name, {})}
    ours, plain = (kind.from_data(data, **shape) for kind in (PathScorer, Plain))
    sampler = QuerySampler(data, batch_size=BATCH, max_facts=1, generator=torch.Generator().manual_seed(0))
    batches = [batch.ungrouped() for batch, _ in zip(sampler, range(BATCHES), strict=False)]
    few = [part(batch, PLAIN) for batch in batches]
    check(ours, plain, few[0], data)
    seconds = in_turns({"ours": step(ours, batches, data), "plain": step(plain, few, data)}, rounds)
    own, theirs = 1000 * seconds["ours"] / (BATCHES * BATCH), 1000 * seconds["plain"] / (BATCHES * PLAIN)
    facts = len(with_inverses(split_triples(data, "train"), int(data.num_relations)))
    return f"| {name} | {shape['layers']} | {facts:,} | {own:.2f} | {theirs:.1f} | {theirs / own:.0f} |"


def part(batch: QueryBatch, number: int) -> QueryBatch:
    """The first facts of a batch."""
    fields = ("head", "relation", "row", "target", "fact")
    return batch._replace(**{name: getattr(batch, name)[:number] for name in fields})


def step(model: PathScorer, batches: list[QueryBatch], data: object) -> Callable[[], None]:
    """Loss and gradient of some batches."""

    def run() -> None:
        objective = PathObjective(model, data, generator=torch.Generator().manual_seed(1))
        for batch in batches:
            model.zero_grad()
            objective(batch, 1)[0].backward()

    return run


def check(ours: PathScorer, plain: PathScorer, batch: QueryBatch, data: object) -> None:
    """Both ways give the same gradients."""
    for model in (ours, plain):
        step(model, [batch], data)()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-3)


if __name__ == "__main__":
    main()
