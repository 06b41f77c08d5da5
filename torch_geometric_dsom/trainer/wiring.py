"""From a configuration to the parts of a distillation: teachers, agent, lesson, objective."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import degree

from torch_geometric_dsom.data import KnownAnswers, NeighborIndex, modalities, split_triples
from torch_geometric_dsom.distributed import ALONE, Shard, World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer
from torch_geometric_dsom.nn import EmbeddingScorer, Scorer, rows_within
from torch_geometric_dsom.sampler import (
    CandidateSampler,
    ConfidenceSampler,
    QuerySampler,
    RelationSampler,
    RuleSampler,
    SelectionState,
    StaticSampler,
    TeacherSampler,
    UnlabelledSampler,
    all_subsets,
    best_sets,
    filtered_probabilities,
    rank_reward,
)
from torch_geometric_dsom.trainer.config import SINGLE, DSoMConfig
from torch_geometric_dsom.trainer.deal import deal
from torch_geometric_dsom.trainer.ensemble import Ensemble
from torch_geometric_dsom.trainer.experts import availability, reflexive
from torch_geometric_dsom.trainer.fact_signals import fact_signals
from torch_geometric_dsom.trainer.fit_config import DTYPES, product_dtype
from torch_geometric_dsom.trainer.lesson import HeldOutLesson, LookaheadLesson, TrainingLesson
from torch_geometric_dsom.trainer.objective import DistillationObjective, Lesson
from torch_geometric_dsom.trainer.sharded_ensemble import ShardedEnsemble
from torch_geometric_dsom.trainer.sharded_objective import ShardedDistillationObjective
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache
from torch_geometric_dsom.trainer.team import SOLO, Team

HELD_OUT_BATCH = 64
Agent = TeacherSampler | RuleSampler
Generators = Callable[[str], torch.Generator]


def has_validation(data: Data) -> bool:
    """Whether the graph has validation facts."""
    return split_triples(data, "val").size(0) > 0


def make_ensemble(
    config: DSoMConfig,
    data: Data,
    teachers: Mapping[str, TailScorer],
    fold_teachers: Sequence[Mapping[str, TailScorer]],
    device: torch.device,
    team: Team = SOLO,
) -> Ensemble:
    """The teachers side by side on a device, frozen, as the configuration asks them.

    Args:
        config (DSoMConfig): Read for :obj:`mask_absent`, :obj:`mask_self` and :obj:`teacher_dtype`.
        data (Data): A graph in the data contract.
        teachers (dict): Teachers by name.
        fold_teachers (list[dict]): For each fold those that did not see its facts; none where they are not
            cross-fitted.
        device (torch.device): Where they are asked.
        team (Team): The processes that share the run. (default: this one alone)

    Raises:
        ConfigError: If the teachers of a fold have other names.
    """
    for fold, part in enumerate(fold_teachers):
        if list(part) != list(teachers):
            raise ConfigError(f"fold_teachers[{fold}]: expected {list(teachers)}, got {list(part)}")
    whole, *folds = [[_freeze(one, device, team) for one in part.values()] for part in (teachers, *fold_teachers)]
    available = availability(data, teachers)
    if not config.mask_absent:
        available = torch.ones_like(available)
    kind = Ensemble if team.entities.size == 1 else ShardedEnsemble
    may = reflexive(data).to(device) if config.mask_self else None
    return kind(whole, available.to(device), folds, product_dtype(config.teacher_dtype, device), reflexive=may)


def _freeze(teacher: TailScorer, device: torch.device, team: Team) -> TailScorer:
    if isinstance(teacher, Scorer):
        teacher = deal(teacher, team)
    if isinstance(teacher, Scorer) and not _is_frozen(teacher):
        return teacher.freeze().to(device)
    if isinstance(teacher, nn.Module):
        teacher.to(device).eval().requires_grad_(False)
    return teacher


def _is_frozen(teacher: Scorer) -> bool:
    """Whether a scorer is plain tables that nobody trains."""
    return isinstance(teacher, EmbeddingScorer) and not any(value.requires_grad for value in teacher.parameters())


def make_cache(config: DSoMConfig, ensemble: Ensemble, sampler: QuerySampler) -> SoftLabelCache | None:
    """Room for the soft labels of training queries, as the configuration says.

    Args:
        config (DSoMConfig): Read for :obj:`cache` and what belongs to it.
        ensemble (Ensemble): The teachers.
        sampler (QuerySampler): Gives the training facts.
    """
    if config.cache == "none" or config.candidates != "all":
        return None
    facts, folds = sampler.facts, sampler.fold if ensemble.fold_teachers else None
    keys = ensemble.key(facts[:, 0], facts[:, 1], folds).unique()
    folder = tempfile.gettempdir() if config.cache == "mmap" else None
    device, size = ensemble.available.device, ensemble.available.size(0)
    return SoftLabelCache(keys, ensemble.num_teachers, size, config.cache_bytes, folder, device, config.cache_top_k)


def make_candidates(
    config: DSoMConfig, data: Data, generator: torch.Generator, team: Team = SOLO
) -> CandidateSampler | None:
    """What draws the entities in the softmax of a batch, as the configuration says; all are in it if :obj:`None`."""
    if config.candidates == "all":
        return None
    world = team.entities  # each process draws its share, among its own entities
    own = Shard.of(int(data.num_nodes), world)
    return CandidateSampler(own.size, -(-config.num_candidates // world.size), generator)


def make_state(data: Data, names: Sequence[str], student: TailScorer, query: bool = True) -> SelectionState:
    """What the agent sees of a graph, its teachers and its student.

    Args:
        data (Data): A graph in the data contract.
        names (list[str]): Names of the teachers.
        student (Scorer or TailScorer): The student.
        query (bool): Whether it sees the student's query vectors. (default: :obj:`True`)
    """
    kinds = modalities(data)
    presence = (
        torch.stack([data[f"{name}_mask"] for name in kinds], dim=-1) if kinds else torch.empty(data.num_nodes, 0)
    )
    degrees = degree(data.edge_index.flatten(), data.num_nodes)
    query_dim = student.interaction.query_dim if query and isinstance(student, Scorer) else 0
    return SelectionState(names, presence, degrees, data.num_relations, query_dim)


def make_agent(
    config: DSoMConfig, data: Data, ensemble: Ensemble, state: SelectionState, generator: torch.Generator
) -> Agent:
    """Who picks the teachers, as the configuration says.

    Args:
        config (DSoMConfig): Read for :obj:`selection` and what belongs to it.
        data (Data): A graph in the data contract.
        ensemble (Ensemble): The teachers.
        state (SelectionState): What the agent sees.
        generator (torch.Generator): Source of its draws.

    Raises:
        ConfigError: If a teacher is named that is none, or validation facts are missing where they are needed.
    """
    count, selection = ensemble.num_teachers, config.selection
    if selection == "reinforced":
        return TeacherSampler(
            count,
            state.dim,
            lr=config.agent_lr,
            entropy_weight=config.entropy_weight,
            generator=generator,
            policy=config.policy,
            gradient=config.gradient,
            baseline=config.agent_baseline,
            credit=config.credit,
        )
    if selection == "confidence":
        return ConfidenceSampler(count, state.columns("max_prob"))
    if selection == "best_per_relation":
        return RelationSampler(best_on_validation(data, ensemble), state.columns("relation"))
    if selection.startswith(SINGLE):
        name = selection.removeprefix(SINGLE)
        if name not in state.teachers:
            raise ConfigError(f"selection: expected a teacher among {list(state.teachers)}, got '{name}'")
        return StaticSampler(count, chosen=[state.teachers.index(name)])
    return StaticSampler(count, prob=0.5 if selection == "random" else 1.0, generator=generator)


@torch.no_grad()
def best_on_validation(data: Data, ensemble: Ensemble) -> Tensor:
    """For each relation the set of teachers that ranks its validation facts best, ``[2R, K]`` bool.

    Args:
        data (Data): A graph in the data contract.
        ensemble (Ensemble): The teachers.

    Raises:
        ConfigError: If there are no validation facts.
    """
    if not has_validation(data):
        raise ConfigError("selection: 'best_per_relation' expects a graph with validation facts, got none")
    known = KnownAnswers.from_data(data, ("train", "val"))
    rewards, relations = [], []
    sampler = QuerySampler(split_triples(data, "val"), data.num_relations, HELD_OUT_BATCH, max_facts=1, shuffle=False)
    for batch in sampler:
        logits = ensemble.ask(batch.head, batch.relation)
        prob, nothing = filtered_probabilities(logits, torch.zeros_like(logits[:, 0]), batch, known)
        batch = batch.to(logits.device)
        prob = prob * ensemble.available[batch.head].unsqueeze(-1)
        subsets = all_subsets(ensemble.num_teachers, logits.device).expand(batch.head.numel(), -1, -1)
        # Against a student that knows nothing: the same offset for every set but the empty one.
        rewards.append(rank_reward(prob, nothing, batch.target, subsets, positive=False))
        relations.append(batch.relation)
    return best_sets(torch.cat(rewards), torch.cat(relations), 2 * data.num_relations)


def make_unlabelled(config: DSoMConfig, data: Data, generator: torch.Generator) -> UnlabelledSampler | None:
    """What draws queries without a training fact, as the configuration says."""
    if config.unlabelled == 0:
        return None
    return UnlabelledSampler(data, generator, config.unlabelled_relations, config.unlabelled_degree)


def make_lesson(
    config: DSoMConfig,
    data: Data,
    ensemble: Ensemble,
    agent: Agent,
    index: NeighborIndex,
    temperature: float,
    generator: torch.Generator,
    world: World = ALONE,
) -> Lesson | None:
    """How the agent learns, as the configuration says; a rule does not learn."""
    if not isinstance(agent, TeacherSampler):
        return None
    held_out = config.reward_facts == "val" and has_validation(data)
    if config.reward == "lookahead":
        facts = split_triples(data, "val" if held_out else "train")
        others = QuerySampler(facts, data.num_relations, batch_size=4 * HELD_OUT_BATCH, generator=generator)
        return LookaheadLesson(agent, others, config.positive_reward)
    known = KnownAnswers.from_data(data, ("train", "val"))
    if not held_out:
        return TrainingLesson(agent, config.reward, config.positive_reward, known)
    size = min(HELD_OUT_BATCH, rows_within(config.student_fit.workspace_bytes, 3 + ensemble.slabs, data.num_nodes))
    facts, share = split_triples(data, "val"), (world.rank, world.size)
    sampler = QuerySampler(facts, data.num_relations, size, max_facts=1, generator=generator, share=share)
    signals = fact_signals(ensemble, sampler, index, temperature, world=world)
    return HeldOutLesson(agent, sampler, signals, config.reward, config.positive_reward, known)


def make_objective(
    config: DSoMConfig,
    data: Data,
    student: TailScorer,
    ensemble: Ensemble,
    agent: Agent,
    state: SelectionState,
    loss: nn.Module,
    sampler: QuerySampler,
    generators: Generators,
    train: bool = True,
    team: Team = SOLO,
) -> DistillationObjective:
    """The student's objective, as the configuration says.

    Args:
        config (DSoMConfig): The configuration.
        data (Data): A graph in the data contract.
        student (Scorer or TailScorer): Who learns.
        ensemble (Ensemble): The teachers.
        agent (TeacherSampler or RuleSampler): Who picks them.
        state (SelectionState): What the agent sees.
        loss (nn.Module): The distillation loss.
        sampler (QuerySampler): Gives the training facts.
        generators (callable): Gives the generator of the part of that name.
        train (bool): Whether it is to be trained with; else it has neither signals of the training facts nor a lesson
            for the agent, and only tells what the agent would choose. (default: :obj:`True`)
        team (Team): The processes that share the run. (default: this one alone)
    """
    device = ensemble.available.device
    index = NeighborIndex(data, config.neighbors, config.top_k)
    temperature = float(getattr(loss, "temperature", 1.0))
    signals, lesson = None, None
    top_k = config.candidate_top_k if config.candidates == "topk" else 0
    if train:
        folds = sampler.fold[: sampler.num_facts // 2]
        world = team.batches
        facts = QuerySampler(data, batch_size=256, max_facts=None, shuffle=False, folds=folds, share=team.share)
        budget = config.student_fit.workspace_bytes
        if config.signals == "all":
            folded = bool(ensemble.fold_teachers)
            signals = fact_signals(ensemble, facts, index, temperature, folded, budget, top_k, world)
        lesson = make_lesson(config, data, ensemble, agent, index, temperature, generators("held_out"), world)
    kind = DistillationObjective if team.entities.size == 1 else ShardedDistillationObjective
    return kind(
        student,
        ensemble,
        sampler,
        signals,
        agent.to(device),
        state.to(device),
        index,
        loss,
        lesson,
        gamma=config.gamma,
        warmup=config.warmup,
        per_query=config.selection_per == "query",
        unlabelled=make_unlabelled(config, data, generators("unlabelled")),
        unlabelled_share=config.unlabelled,
        unlabelled_agent=StaticSampler(ensemble.num_teachers).to(device)
        if config.unlabelled_selection == "all"
        else None,
        n3=config.student_fit.n3 if config.distilled_n3 is None else config.distilled_n3,
        relation_prediction=config.student_fit.relation_prediction,
        dtype=DTYPES[config.student_fit.dtype],
        workspace_bytes=config.student_fit.workspace_bytes,
        candidates=make_candidates(config, data, generators("candidates"), team),
        top_k=top_k,
        world=team.batches,
    )
