"""Which teachers a graph gives: one for structure, one for each modality, and a fused one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data import modalities, split_triples, validate
from torch_geometric_dsom.errors import DataError
from torch_geometric_dsom.nn import (
    SCORERS,
    EmbeddingScorer,
    ModalityTeacher,
    Scorer,
    make_interaction,
)
from torch_geometric_dsom.sampler import QuerySampler
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.fit import fit_on_graph
from torch_geometric_dsom.trainer.fit_config import FitConfig

STRUCTURE, JOINT, FUSED = "structure", "joint", "fused"
JOINT_SCALE = 1e-3  # of free vectors, which features are added to


def make_experts(data: Data, config: DSoMConfig, generator: Callable[[str], torch.Generator]) -> dict[str, Scorer]:
    """The experts of a graph, not trained yet: ``structure``, further structural ones, one named after each modality.

    Args:
        data (Data): A graph in the data contract.
        config (DSoMConfig): Sizes and dropouts.
        generator (callable): Gives the generator of the expert of that name.

    Raises:
        DataError: If a modality has the name of another expert.
    """
    kinds, structural = modalities(data), _structural(config)
    taken = sorted({*structural, JOINT, FUSED} & set(kinds))
    if taken:
        raise DataError(f"data: expected modalities with names of their own, '{taken[0]}' is that of an expert")
    experts: dict[str, Scorer] = {
        name: SCORERS[config.scorer](
            data.num_nodes, data.num_relations, config.rank, config.student_dropout, generator=generator(name)
        )
        for name in structural
    }
    for name in kinds if config.modality_experts else ():
        experts[name] = ModalityTeacher.from_data(
            data,
            [name],
            rank=config.rank,
            hidden_dim=config.teacher_hidden,
            dropout=config.teacher_dropout,
            generator=generator(name),
            mapped=config.features == "mapped",
            interaction=make_interaction(config.teacher_scorer, config.rank),
        )
    if config.joint_expert and kinds:
        experts[JOINT] = ModalityTeacher.from_data(
            data,
            kinds,
            rank=config.rank,
            structure="all",
            hidden_dim=0,
            dropout=config.student_dropout,
            init_scale=JOINT_SCALE,
            generator=generator(JOINT),
            interaction=make_interaction(config.scorer, config.rank),
        )
    return experts


def expert_names(data: Data, config: DSoMConfig) -> list[str]:
    """Names of the experts that :func:`make_experts` makes, in its order."""
    kinds = modalities(data)
    seen = kinds if config.modality_experts else ()
    return [*_structural(config), *seen, *([JOINT] if config.joint_expert and kinds else [])]


def _structural(config: DSoMConfig) -> list[str]:
    return [STRUCTURE, *(f"{STRUCTURE}{number}" for number in range(2, config.structure_experts + 1))]


def expert_fit(config: DSoMConfig, name: str) -> FitConfig:
    """How the expert of a name is trained: as the student is where it has a vector for every entity."""
    alike = name.startswith(STRUCTURE) or name == JOINT
    return config.structure_fit if alike else config.teacher_fit


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


def reflexive(data: Data) -> Tensor:
    """Which relations relate an entity to itself in a training fact, ``[2R]`` bool; the inverse ones as well.

    Args:
        data (Data): A graph in the data contract.
    """
    head, relation, tail = split_triples(data, "train").unbind(dim=-1)
    found = torch.zeros(data.num_relations, dtype=torch.bool)
    found[relation[head == tail]] = True
    return torch.cat([found, found])


def fit_expert(
    expert: Scorer, data: Data, epochs: int | None = None, config: FitConfig | None = None, progress: bool | None = None
) -> EmbeddingScorer:
    """Trains a scorer by cross-entropy, as the trainer trains its experts, and freezes it: a teacher in one call.

    Args:
        expert (Scorer): What is trained, in place, such as a
            :class:`~torch_geometric_dsom.nn.ModalityTeacher`.
        data (Data): A graph in the data contract; its validation facts, where there are any, choose the epoch.
        epochs (int, optional): Epochs at most; those of the configuration if :obj:`None`.
        config (FitConfig, optional): How to train; how :class:`~torch_geometric_dsom.DSoMTrainer` trains modality
            experts if :obj:`None`.
        progress (bool, optional): Whether to show a progress bar; :obj:`None` shows it on a terminal.

    Returns:
        EmbeddingScorer: The trained scorer as plain tables, without gradients.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> from torch_geometric_dsom.nn import ModalityTeacher
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> expert = ModalityTeacher.from_data(data, ["text"], rank=4, hidden_dim=8)
        >>> fit_expert(expert, data, epochs=1, progress=False).num_entities
        60
    """
    validate(data)
    config = DSoMConfig().teacher_fit if config is None else config
    config = config if epochs is None else replace(config, epochs=epochs)
    sampler = QuerySampler(data, batch_size=config.batch_size, max_facts=config.max_facts)
    objective = CrossEntropyObjective.from_config(expert, config)
    fit_on_graph(expert, data, sampler, objective, config, "teacher", progress)
    return expert.freeze()
