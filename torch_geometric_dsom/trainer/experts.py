"""Which teachers a graph gives: one for structure, one for each modality, and a fused one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import modalities
from torch_geometric_dsom.nn import SCORERS, ModalityTeacher, Scorer, make_interaction
from torch_geometric_dsom.trainer.config import DSoMConfig

STRUCTURE, FUSED = "structure", "fused"


def make_experts(data: Data, config: DSoMConfig, generator: Callable[[str], torch.Generator]) -> dict[str, Scorer]:
    """The experts of a graph, not trained yet: ``structure``, then one named after each modality.

    Args:
        data (Data): A graph in the data contract.
        config (DSoMConfig): Sizes and dropouts.
        generator (callable): Gives the generator of the expert of that name.
    """
    experts: dict[str, Scorer] = {
        STRUCTURE: SCORERS[config.scorer](
            data.num_nodes, data.num_relations, config.rank, config.student_dropout, generator=generator(STRUCTURE)
        )
    }
    for name in modalities(data):
        experts[name] = ModalityTeacher.from_data(
            data,
            [name],
            rank=config.rank,
            hidden_dim=config.teacher_hidden,
            dropout=config.teacher_dropout,
            generator=generator(name),
            interaction=make_interaction(config.teacher_scorer, config.rank),
        )
    return experts


def availability(data: Data, teachers: Mapping[str, object]) -> Tensor:
    """Which teacher may be asked about which query entity, ``[N, K]`` bool.

    A teacher named after a modality of the graph may be asked where the entity has that modality, any other always.

    Args:
        data (Data): A graph in the data contract.
        teachers (dict): Teachers by name.
    """
    known = set(modalities(data))
    everywhere = torch.ones(data.num_nodes, dtype=torch.bool)
    return torch.stack([data[f"{name}_mask"] if name in known else everywhere for name in teachers], dim=-1)
