"""What is timed, and how: a graph of the size of DB15K, and contenders that take turns in one process."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.datasets import DB15K

ENTITIES, RELATIONS, FACTS = 12_842, 279, 79_222
Contender = Callable[[], object]


def make_graph() -> tuple[Data, str]:
    """DB15K where there is a mirror of it, else a random graph of its size and skew; with the name of what it is."""
    if os.environ.get("DSOM_DATA"):
        return DB15K(text_encoder="none")[0], "DB15K"
    return random_graph(ENTITIES, RELATIONS, FACTS), "a random graph of the size of DB15K"


def random_graph(entities: int, relations: int, facts: int, seed: int = 0) -> Data:
    """Facts whose heads, relations and tails are drawn with probabilities that fall off as in DB15K."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int, number: int, power: float) -> Tensor:
        weight = torch.arange(1, size + 1, dtype=torch.float64) ** -power
        return torch.multinomial(weight, number, replacement=True, generator=generator)

    def split(number: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(entities, generator=generator)
        index = torch.stack([order[draw(entities, number, 0.6)], draw(entities, number, 0.8)])
        return index, draw(relations, number, 1.0)

    data = Data(num_nodes=entities)
    data.num_relations = relations
    data.edge_index, data.edge_type = split(facts)
    data.val_edge_index, data.val_edge_type = split(facts // 20)
    data.test_edge_index, data.test_edge_type = split(facts // 8)
    return data


def in_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each contender; they take turns, so that what disturbs one disturbs all."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number, (name, run) in itertools.product(range(rounds + 1), contenders.items()):
        start = time.process_time()
        run()
        if number > 0:  # the first round warms up
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
