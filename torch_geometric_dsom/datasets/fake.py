"""A generated graph of which it is known what each modality is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from torch_geometric_dsom.errors import ConfigError

INFORMATIVE, USELESS, MISLEADING = TRUTHS = ("informative", "useless", "misleading")
MAX_ENTITIES = 4096  # all pairs of entities are weighed against each other


class FakeMMKG(InMemoryDataset):
    r"""A multimodal knowledge graph with planted truth, for tests and for checks of a method that picks modalities.

    Each entity :math:`e` has a kind :math:`c_r(e)` for every relation :math:`r`; a fact :math:`(h, r, t)` holds only if
    :math:`c_r(t)` is the kind that follows :math:`c_r(h)` under a permutation. A modality shows, for each relation, a
    noisy prototype of a kind; which one is the planted truth:

    ================ ==================================================================================================
    ``informative``  the right kind of every entity
    ``useless``      a kind drawn by lot, which has nothing to do with the facts
    ``misleading``   the right kind of the common entities and a wrong one of the rare ones
    ================ ==================================================================================================

    Rare entities have few training facts and most of the held-out ones. So a model that trusts a misleading modality
    fits the training facts well and is confidently wrong afterwards: its harm shows on held-out facts alone.

    Args:
        num_entities (int): Number of entities. At most 4,096. (default: :obj:`600`)
        num_relations (int): Number of relations. (default: :obj:`8`)
        truth (dict, optional): Modality to its truth, for all relations or a list with one for each. By default
            ``text`` is informative, ``image`` is informative on the first half of the relations and misleading on the
            second, and ``noise`` is useless.
        num_kinds (int): Number of kinds. (default: :obj:`60`)
        num_facts (int): Training facts of each relation; a sixth as many are for validation and for test each.
            (default: :obj:`1200`)
        dim (int): Columns of each modality for each relation. (default: :obj:`16`)
        noise (float): Standard deviation of the noise in features, where a prototype has unit variance.
            (default: :obj:`0.2`)
        rare (float): Share of rare entities, in :math:`[0, 1)`. (default: :obj:`0.4`)
        missing (float): Share of entities that lack a modality, drawn for each, in :math:`[0, 1)`.
            (default: :obj:`0.0`)
        seed (int): Seed of everything that is drawn. (default: :obj:`0`)
        transform (Callable, optional): Applied to the graph at every access. (default: :obj:`None`)

    Raises:
        ConfigError: If a number is out of range, a truth is unknown, or there are more facts than the kinds allow.

    Example:
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> dataset = FakeMMKG(num_entities=120, num_relations=2, num_kinds=6, num_facts=200)
        >>> dataset.truth["image"]
        ['informative', 'misleading']
        >>> dataset[0].x_image.shape, dataset[0].edge_index.shape
        (torch.Size([120, 32]), torch.Size([2, 400]))
    """

    def __init__(
        self,
        num_entities: int = 600,
        num_relations: int = 8,
        truth: Mapping[str, str | Sequence[str]] | None = None,
        num_kinds: int = 60,
        num_facts: int = 1200,
        dim: int = 16,
        noise: float = 0.2,
        rare: float = 0.4,
        missing: float = 0.0,
        seed: int = 0,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        sizes = {"num_entities": num_entities, "num_relations": num_relations, "num_kinds": num_kinds, "dim": dim}
        for name, value in {**sizes, "num_facts": num_facts}.items():
            if value < 1:
                raise ConfigError(f"{name}: expected a positive number, got {value}")
        if not 2 <= num_kinds <= num_entities:
            raise ConfigError(f"num_kinds: expected a number from 2 to the {num_entities} entities, got {num_kinds}")
        if num_entities > MAX_ENTITIES:
            raise ConfigError(f"num_entities: expected at most {MAX_ENTITIES}, got {num_entities}")
        if not noise >= 0:
            raise ConfigError(f"noise: expected zero or a positive number, got {noise}")
        for name, share in (("rare", rare), ("missing", missing)):
            if not 0.0 <= share < 1.0:
                raise ConfigError(f"{name}: expected a share in [0, 1), got {share}")
        super().__init__(None, transform)
        self.truth = _complete(truth, num_relations)
        generator = torch.Generator().manual_seed(seed)
        self._data = _generate(
            num_entities, num_relations, num_kinds, num_facts, self.truth, dim, noise, rare, missing, generator
        )

    def __repr__(self) -> str:
        data = self._data
        return f"{type(self).__name__}(entities={data.num_nodes}, relations={data.num_relations}, truth={self.truth})"


def _complete(truth: Mapping[str, str | Sequence[str]] | None, num_relations: int) -> dict[str, list[str]]:
    """One truth for each modality and relation."""
    if truth is None:
        half = [INFORMATIVE] * (num_relations // 2)
        image = half + [MISLEADING] * (num_relations - len(half))
        truth = {"text": INFORMATIVE, "image": image, "noise": USELESS}
    full = {name: [value] * num_relations if isinstance(value, str) else list(value) for name, value in truth.items()}
    for name, values in full.items():
        if len(values) != num_relations:
            raise ConfigError(f"truth['{name}']: expected one for each of {num_relations} relations, got {len(values)}")
        for value in values:
            if value not in TRUTHS:
                raise ConfigError(f"truth['{name}']: expected one of {list(TRUTHS)}, got '{value}'")
    return full


def _generate(
    num_entities: int,
    num_relations: int,
    num_kinds: int,
    num_facts: int,
    truth: Mapping[str, Sequence[str]],
    dim: int,
    noise: float,
    rare: float,
    missing: float,
    generator: torch.Generator,
) -> Data:
    is_rare = torch.randperm(num_entities, generator=generator) < round(rare * num_entities)
    kind = torch.stack(
        [torch.randperm(num_entities, generator=generator) % num_kinds for _ in range(num_relations)], dim=-1
    )
    data = Data(num_nodes=num_entities)
    data.num_relations = num_relations
    splits: dict[str, list[Tensor]] = {"": [], "val_": [], "test_": []}
    for r in range(num_relations):
        follows = torch.randperm(num_kinds, generator=generator)
        for prefix, pairs in zip(splits, _facts(kind[:, r], follows, is_rare, num_facts, r, generator), strict=True):
            splits[prefix].append(torch.cat([pairs, torch.full((1, pairs.size(1)), r)]))
    for prefix, parts in splits.items():
        facts = torch.cat(parts, dim=-1)
        data[f"{prefix}edge_index"], data[f"{prefix}edge_type"] = facts[:2], facts[2]
    for name, values in truth.items():
        shown = kind.clone()
        for r, value in enumerate(values):
            if value == USELESS:
                shown[:, r] = torch.randint(num_kinds, (num_entities,), generator=generator)
            elif value == MISLEADING:
                wrong = kind[:, r] + torch.randint(1, num_kinds, (num_entities,), generator=generator)
                shown[is_rare, r] = wrong[is_rare] % num_kinds
        prototypes = torch.randn(num_relations, num_kinds, dim, generator=generator)
        x = torch.cat([prototypes[r, shown[:, r]] for r in range(num_relations)], dim=-1)
        x = x + noise * torch.randn(x.shape, generator=generator)
        mask = torch.rand(num_entities, generator=generator) >= missing
        data[f"x_{name}"], data[f"{name}_mask"] = x * mask.unsqueeze(-1), mask
    data.entity_ids = [f"e{i}" for i in range(num_entities)]
    data.entity_labels = [f"{'rare' if rare_one else 'common'} {i}" for i, rare_one in enumerate(is_rare.tolist())]
    data.relation_ids = [f"r{i}" for i in range(num_relations)]
    data.relation_labels = [f"relation {i}" for i in range(num_relations)]
    return data


def _facts(
    kind: Tensor, follows: Tensor, is_rare: Tensor, num_facts: int, relation: int, generator: torch.Generator
) -> list[Tensor]:
    """Pairs of head and tail for training, validation and test, ``[2, n]`` each; no pair is in two of them."""
    right = follows[kind].unsqueeze(-1) == kind
    held_out = max(1, num_facts // 6)
    possible = int(right.sum())
    if possible < num_facts + 2 * held_out:
        raise ConfigError(
            f"num_facts: expected at most {possible * 6 // 8} facts that hold for relation {relation}, got {num_facts}"
        )
    # Held-out facts first: a pair is as likely as its entities, of which rare ones are common there, and rare in train.
    parts = []
    for size, weight in ((2 * held_out, torch.where(is_rare, 1.0, 0.2)), (num_facts, torch.where(is_rare, 0.15, 1.0))):
        chance = (weight.unsqueeze(-1) * weight).double() * right
        picked = chance.flatten().multinomial(size, generator=generator)
        pairs = torch.stack([picked // kind.numel(), picked % kind.numel()])
        right[pairs[0], pairs[1]] = False
        parts.append(pairs)
    return [parts[1], parts[0][:, :held_out], parts[0][:, held_out:]]
