"""Why a student answers as it does: what each teacher thinks of a fact, and whom the agent would learn it from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import degree

from torch_geometric_dsom.data import KnownAnswers, Vocabulary, modalities, split_triples
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import TailScorer, device_of, filtered_ranks
from torch_geometric_dsom.sampler import StaticSampler, TeacherChoice, TeacherSampler, all_subsets
from torch_geometric_dsom.trainer.dsom import DSoMTrainer
from torch_geometric_dsom.trainer.objective import DistillationObjective
from torch_geometric_dsom.trainer.predict import Prediction
from torch_geometric_dsom.trainer.selection import choices

STUDENT, BASELINE = "DSoM student", "CE-only student"
FACTS_OF_RELATION = 512  # training facts of a relation that the agent is asked about, at most


@dataclass(frozen=True)
class EntityCard:
    """What a graph tells of an entity.

    Args:
        entity (int): Its row.
        id (str): Its id.
        label (str): Its label.
        text (str): Its text; empty where the graph has none.
        modalities (list[str]): The modalities that it has.
        degree (int): Training facts that it is in.
    """

    entity: int
    id: str
    label: str
    text: str
    modalities: tuple[str, ...]
    degree: int


@dataclass(frozen=True)
class Opinion:
    """What one scorer thinks of a fact.

    Args:
        name (str): Whose opinion it is.
        rank (float): Filtered rank of the answer, ties realistic.
        probability (float): Softmax of the scores over all entities.
        best (list[Prediction]): The best answers, other known ones left out.
        available (bool, optional): Of a teacher: whether it may be asked about the query entity.
        chosen (bool, optional): Of a teacher: whether it is in the agent's most likely set.
        chance (float, optional): Of a teacher: how likely the agent takes it.
        chosen_on_relation (float, optional): Of a teacher: share of the relation's training facts for which the agent
            takes it.
    """

    name: str
    rank: float
    probability: float
    best: tuple[Prediction, ...]
    available: bool | None = None
    chosen: bool | None = None
    chance: float | None = None
    chosen_on_relation: float | None = None


@dataclass(frozen=True)
class Explanation:
    """What everybody thinks of a fact, see :func:`explain`.

    Args:
        head (EntityCard): The head.
        relation (str): Label of the relation.
        tail (EntityCard): The tail.
        asked (str): ``"tail"`` or ``"head"``: which of them is the answer.
        split (str, optional): The split that the fact is in; :obj:`None` if it is in none.
        teachers (list[Opinion]): What the teachers think.
        students (list[Opinion]): What the CE-only student thinks, where there is one, and the DSoM student.
        chosen (list[str]): The agent's most likely set.
        chance (float): How likely it is.
        facts_of_relation (int): How many training facts of the relation the agent was asked about.
    """

    head: EntityCard
    relation: str
    tail: EntityCard
    asked: str
    split: str | None
    teachers: tuple[Opinion, ...]
    students: tuple[Opinion, ...]
    chosen: tuple[str, ...]
    chance: float
    facts_of_relation: int

    @property
    def query(self) -> EntityCard:
        """The entity that the question is about."""
        return self.head if self.asked == "tail" else self.tail

    @property
    def answer(self) -> EntityCard:
        """The answer that the ranks are of."""
        return self.tail if self.asked == "tail" else self.head

    @property
    def student(self) -> Opinion:
        """What the DSoM student thinks."""
        return self.students[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        for opinion in (*plain["teachers"], *plain["students"]):
            opinion["best"] = [answer._asdict() for answer in opinion["best"]]
        return plain

    def __str__(self) -> str:
        where = "in no split" if self.split is None else f"{self.split} fact"
        lines = [
            f"{self.head.label}  --[{self.relation}]-->  {self.tail.label}   ({where}, asked for the {self.asked})"
        ]
        for what, card in (("head", self.head), ("tail", self.tail)):
            has = ", ".join(card.modalities) or "no picture, no text"
            lines.append(f"  {what}: {card.label} ({card.id}); {card.degree} training facts; {has}")
            if card.text and card.text != card.label:
                lines.append(f"        {_short(card.text)}")
        width = max(len(opinion.name) for opinion in (*self.teachers, *self.students))
        lines += ["", f"{'teacher':<{width}}     rank  probability  chance to be chosen  on this relation"]
        for one in self.teachers:
            mark = "*" if one.chosen else " "
            chance = f"{100 * (one.chance or 0):17.1f} %" if one.available else f"{'not to be asked':>19}"
            often = "" if one.chosen_on_relation is None else f"{100 * one.chosen_on_relation:14.1f} %"
            lines.append(
                f"{one.name:<{width}} {mark} {one.rank:6g}  {one.probability:11.4f}  {chance}  {often}".rstrip()
            )
        named = " + ".join(self.chosen) or "no teacher"
        lines += [f"* the agent's most likely set: {named} ({100 * self.chance:.1f} %)", ""]
        lines.append(f"{'student':<{width}}     rank  probability  best answers")
        for one in self.students:
            best = ", ".join(f"{answer.label} {answer.probability:.3f}" for answer in one.best)
            lines.append(f"{one.name:<{width}}   {one.rank:6g}  {one.probability:11.4f}  {best}")
        return "\n".join(lines)


def explain(
    trainer: DSoMTrainer,
    data: Data,
    head: str | int,
    relation: str | int,
    tail: str | int,
    asked: str = "tail",
    k: int = 3,
) -> Explanation:
    """What teachers, agent and student think of a fact, be it known or not.

    Teachers that were trained on a fact are asked about it all the same. Nobody learns from it, and nothing is drawn
    from the generators of the trainer.

    Args:
        trainer (DSoMTrainer): Trained, or loaded.
        data (Data): The graph that it was trained on, with the masks of its modalities.
        head (str or int): Id, label or row of the head.
        relation (str or int): Id, label or row of the relation.
        tail (str or int): Id, label or row of the tail.
        asked (str): ``"tail"`` to ask ``(head, relation, ?)``, ``"head"`` to ask ``(?, relation, tail)``.
            (default: :obj:`"tail"`)
        k (int): Number of best answers of each. (default: :obj:`3`)

    Returns:
        Explanation: With a text, plain values, and all of them as attributes.

    Raises:
        ConfigError: If a name is unknown, or the trainer is not trained or has no teachers.
        NonFiniteError: If a score is NaN or infinite.

    Example:
        >>> from torch_geometric_dsom import DSoMTrainer
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> from torch_geometric_dsom.trainer import explain
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> options = {"rank": 4, "teacher_hidden": 4, "teacher_fit": {"epochs": 1}, "progress": False}
        >>> trainer = DSoMTrainer(seed=0, **options).fit(data, epochs=1)
        >>> told = explain(trainer, data, head="e1", relation="r0", tail="e2")
        >>> [opinion.name for opinion in told.teachers]
        ['structure', 'image', 'text', 'noise', 'fused']
        >>> 1 <= told.student.rank <= 60
        True
    """
    if asked not in ("tail", "head"):
        raise ConfigError(f"asked: expected 'tail' or 'head', got '{asked}'")
    if k < 1:
        raise ConfigError(f"k: expected a positive number, got {k}")
    if not trainer.teachers:
        raise ConfigError("trainer: expected one with teachers, got none")
    names = Vocabulary.from_data(data)
    fact = torch.tensor([[names.entity(head), names.relation(relation), names.entity(tail)]])
    known = KnownAnswers.from_data(data)
    h, r, t = fact[0].tolist()
    entity, target, kind = (h, t, r) if asked == "tail" else (t, h, r + int(data.num_relations))

    def think(name: str, scorer: TailScorer, **more: Any) -> Opinion:
        return _opinion(name, scorer, names, known, (entity, kind, target), k, **more)

    objective = trainer.objective(data)
    choice = _choice(objective, fact, asked == "head")
    chance, chosen, likely = chances(objective, choice)
    own = split_triples(data, "train")
    own = own[own[:, 1] == r]
    some = own[torch.linspace(0, len(own) - 1, min(len(own), FACTS_OF_RELATION)).long()] if len(own) else own
    often = _mean_chances(objective, some) if len(some) else None
    teachers = tuple(
        think(
            name,
            teacher,
            available=bool(choice.available[0, number]),
            chosen=bool(chosen[0, number]),
            chance=chance[0, number].item(),
            chosen_on_relation=None if often is None else often[number].item(),
        )
        for number, (name, teacher) in enumerate(trainer.teachers.items())
    )
    assert trainer.student is not None  # or the objective had refused
    students = {BASELINE: trainer.baseline, STUDENT: trainer.student}
    return Explanation(
        entity_card(data, names, h),
        names.relation_labels[r],
        entity_card(data, names, t),
        asked,
        next((split for split in ("train", "val", "test") if _holds(split_triples(data, split), fact)), None),
        teachers,
        tuple(think(name, scorer) for name, scorer in students.items() if scorer is not None),
        tuple(one.name for one in teachers if one.chosen),
        likely[0].item(),
        len(some),
    )


def entity_card(data: Data, names: Vocabulary, entity: int) -> EntityCard:
    """What a graph tells of an entity.

    Args:
        data (Data): A graph in the data contract.
        names (Vocabulary): Its names.
        entity (int): Row of the entity.
    """
    texts = data.to_dict().get("entity_texts")
    has = tuple(name for name in modalities(data) if bool(data[f"{name}_mask"][entity]))
    count = degree(data.edge_index.flatten(), data.num_nodes)[entity]
    text = "" if texts is None else str(texts[entity])
    return EntityCard(entity, names.entity_ids[entity], names.entity_labels[entity], text, has, int(count))


@torch.no_grad()
def chances(objective: DistillationObjective, choice: TeacherChoice) -> tuple[Tensor, Tensor, Tensor]:
    """How likely each teacher is taken where a choice was made, and the most likely set.

    Args:
        objective (DistillationObjective): Whose agent chose.
        choice (TeacherChoice): What it chose.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Probability of each teacher ``[B, K]``, the most likely sets ``[B, K]`` bool, and
        their probabilities ``[B]``. A rule without lots is certain.
    """
    agent, available = objective.agent, choice.available
    if isinstance(agent, TeacherSampler):
        logits = agent(choice.state)
        every = agent.policy.all_log_prob(logits, available).exp()
        best = agent.policy.greedy(logits, available)
        chance = every @ all_subsets(agent.num_teachers, every.device).to(every.dtype)
        return chance, best, agent.policy.log_prob(logits, best, available).exp()
    prob = agent.prob if isinstance(agent, StaticSampler) else 1.0
    action = agent.mask & available if isinstance(agent, StaticSampler) else choice.action
    best = action if prob >= 0.5 else torch.zeros_like(action)
    return prob * action.float(), best, max(prob, 1.0 - prob) ** action.sum(dim=-1).float()


def _choice(objective: DistillationObjective, fact: Tensor, inverse: bool) -> TeacherChoice:
    """What the agent chooses for one fact from one side."""
    num_relations = objective.sampler.num_relations
    for batch, choice in choices(objective, fact, num_relations):
        row = ((batch.relation[batch.row] >= num_relations) == inverse).nonzero().flatten()
        if row.numel():
            return choice.rows(row[:1])
    raise AssertionError("a fact is asked from both sides")


def _mean_chances(objective: DistillationObjective, facts: Tensor) -> Tensor:
    """How often each teacher is taken for facts, both sides together, ``[K]``."""
    found = [chances(objective, choice)[0] for _, choice in choices(objective, facts, objective.sampler.num_relations)]
    return torch.cat(found).mean(dim=0)


@torch.no_grad()
def _opinion(
    name: str,
    scorer: TailScorer,
    names: Vocabulary,
    known: KnownAnswers,
    query: tuple[int, int, int],
    k: int,
    **more: Any,
) -> Opinion:
    entity, kind, target = query
    device = device_of(scorer)
    asked = torch.tensor([entity]), torch.tensor([kind])
    scores = scorer.score_tails(asked[0].to(device), asked[1].to(device)).float().cpu()
    row, other = known.rows(*asked)
    rank = filtered_ranks(scores, torch.tensor([target]), (row, other)).realistic.item()
    prob = scores[0].softmax(dim=-1)
    left_out = other[other != target]
    ranked = scores[0].clone().index_fill_(0, left_out, -torch.inf)
    best = ranked.topk(min(k, ranked.numel() - len(left_out))).indices.tolist()
    answers = (
        Prediction(
            place,
            found,
            names.entity_ids[found],
            names.entity_labels[found],
            scores[0, found].item(),
            prob[found].item(),
            found == target,
        )
        for place, found in enumerate(best, start=1)
    )
    return Opinion(name, rank, prob[target].item(), tuple(answers), **more)


def _holds(facts: Tensor, fact: Tensor) -> bool:
    return bool((facts == fact.to(facts.device)).all(dim=-1).any())


def _short(text: str, width: int = 100) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
