"""A scorer in closed form: which answers an entity shares with those that resemble it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from torch_geometric_dsom.data.groups import expand_rows, sum_rows
from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn.guide import Guide, Weight
from torch_geometric_dsom.nn.precision import fast_matmul

MOST_SHARE = 1 - 1e-6  # of a question that its own answers explain
CHUNK = 1 << 22  # numbers that are looked at together
HUBS = 16  # for so many entities one question of many answers is kept summed up


class RidgeScorer(Guide):
    r"""Evidence from entities that resemble: ridge regression of every question on all others, in closed form.

    What training facts tell of an entity :math:`x` are the questions :math:`(h, r)` that it answers, a sparse row
    :math:`X_x` of zeros and ones. Each question is regressed on all others, as `"Embarrassingly Shallow Autoencoders
    for Sparse Data" <https://arxiv.org/abs/1905.03375>`_ does with items of users; here rows may hold features
    :math:`F^m` of modalities as well, of length one, and none where a modality is absent. One inverse solves all of
    them. With :math:`y = X_{\cdot,(h, r)}`, the answers of a question:

    .. math::
        G = \Bigl(X X^\top + w \sum_m F^m F^{m\top} + \lambda I\Bigr)^{-1}, \qquad
        \hat{y}(h, r) = y - \frac{\lambda \, G y}{1 - y^\top G y}

    A fact :math:`(h, r, t)` answers two questions, one from each side, :math:`r^{-1}` being the inverse relation:

    .. math::
        e(h, r, t) = \log \Bigl(1 + \frac{[\hat{y}_t(h, r)]_+}{\varepsilon}\Bigr)
            + \log \Bigl(1 + \frac{[\hat{y}_h(t, r^{-1})]_+}{\varepsilon}\Bigr)

    No question is explained by itself. The inverse takes :math:`4 N^2` bytes and a time that grows with :math:`N^3`,
    a minute and a half for 13,000 entities on one core; it is made at the first use, and not saved.

    Args:
        num_entities (int): Number of entities :math:`N`.
        num_relations (int): Number of relations :math:`R`.
        num_facts (int): Number of training facts, each asked from both sides.
        feature_dims (dict[str, int], optional): Width of the features of each modality.
        penalty (float): The penalty :math:`\lambda`. (default: :obj:`10.0`)
        modality_weight (float): Weight :math:`w` of the modalities. (default: :obj:`5.0`)
        floor (float): Belief :math:`\varepsilon` up to which there is hardly any evidence. (default: :obj:`0.03`)

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> import torch
        >>> lives_in, works_in = 0, 1  # who lives in 3 works in 5, who lives in 4 works in 6
        >>> edge_index = torch.tensor([[0, 0, 1, 1, 2, 7, 7], [3, 5, 3, 5, 3, 4, 6]])
        >>> edge_type = torch.tensor([0, 1, 0, 1, 0, 0, 1])
        >>> data = Data(edge_index=edge_index, edge_type=edge_type, num_nodes=8, num_relations=2)
        >>> ridge = RidgeScorer.from_data(data, penalty=1.0)
        >>> ridge.score_tails(torch.tensor([2]), torch.tensor([works_in])).argmax().item()
        5
    """

    name = "ridge"

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        num_facts: int = 0,
        feature_dims: Mapping[str, int] | None = None,
        penalty: float = 10.0,
        modality_weight: float = 5.0,
        floor: float = 0.03,
    ) -> None:
        super().__init__()
        for name, number in (("penalty", penalty), ("floor", floor)):
            if not number > 0:
                raise ConfigError(f"{name}: expected a positive number, got {number}")
        if not modality_weight >= 0:
            raise ConfigError(f"modality_weight: expected zero or a positive number, got {modality_weight}")
        self.num_entities, self.num_relations = num_entities, num_relations
        self.penalty, self.modality_weight, self.floor = penalty, modality_weight, floor
        self.feature_dims = dict(feature_dims or {})
        self.key: Tensor  # of the question, relation before entity, sorted
        self.answer: Tensor
        self.register_buffer("key", torch.zeros(2 * num_facts, dtype=torch.long))
        self.register_buffer("answer", torch.zeros(2 * num_facts, dtype=torch.long))
        for name, width in self.feature_dims.items():
            self.register_buffer(_buffer(name), torch.zeros(num_entities, width))
        self.inverse: Tensor  # [N, N]
        self.factor: Tensor  # of each fact, what its question and the one from its other side are multiplied by
        self.hub: Tensor  # the questions of most answers, sorted
        self.hub_sums: Tensor
        self._forget()

    @classmethod
    def from_data(
        cls,
        data: Data,
        penalty: float = 10.0,
        modality_weight: float = 5.0,
        floor: float = 0.03,
        kinds: Sequence[str] | None = None,
    ) -> RidgeScorer:
        """Takes the training facts of a graph, and the features of its modalities.

        Args:
            data (Data): A graph in the data contract; of its facts only those of training are read.
            penalty (float): See :class:`RidgeScorer`, as the two that follow. (default: :obj:`10.0`)
            modality_weight (float): (default: :obj:`5.0`)
            floor (float): (default: :obj:`0.03`)
            kinds (list[str], optional): Which modalities; all that the graph has if :obj:`None`, none for a scorer that
                sees structure alone.

        Raises:
            ConfigError: If an argument is out of range, or the graph lacks a modality.
        """
        entities, relations = graph_sizes(data)
        known = modalities(data)
        kinds = known if kinds is None else list(kinds)
        if set(kinds) - set(known):
            raise ConfigError(f"kinds: expected some of {list(known)}, got '{sorted(set(kinds) - set(known))[0]}'")
        facts = with_inverses(split_triples(data, "train").cpu(), relations).unique(dim=0)
        key = facts[:, 1] * entities + facts[:, 0]
        order = key.argsort(stable=True)
        widths = {name: data[f"x_{name}"].size(1) for name in kinds}
        scorer = cls(entities, relations, len(facts) // 2, widths, penalty, modality_weight, floor)
        scorer.key.copy_(key[order])
        scorer.answer.copy_(facts[order, 2])
        for name in kinds:
            scorer.get_buffer(_buffer(name)).copy_(_unit(data[f"x_{name}"].float(), data[f"{name}_mask"]))
        return scorer

    @torch.no_grad()
    def add_to(
        self, scores: Tensor, head: Tensor, rel: Tensor, candidates: Tensor | None = None, weight: Weight = 1.0
    ) -> Tensor:
        """See :meth:`Guide.add_to`."""
        for fitted in self._beliefs(head, rel):
            some = fitted if candidates is None else fitted[:, candidates]
            self._add_rows(scores, some.clamp_(min=0).div_(self.floor).log1p_(), weight)
        return scores

    def _beliefs(self, head: Tensor, rel: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\hat{y}_t(h, r)` and :math:`\hat{y}_h(t, r^{-1})` of all :math:`t`, ``[B, N]`` each."""
        self.solve()
        question = rel * self.num_entities + head
        first, last = (torch.searchsorted(self.key, question, right=right) for right in (False, True))
        row, place = expand_rows(first, last - first)
        there = self._sums(question, first, last - first)
        scale = torch.zeros(head.numel(), device=there.device)
        scale[row] = self.factor[0, place]
        there *= scale[:, None]
        here = torch.zeros_like(there)
        first, last = (torch.searchsorted(self.key, which * self.num_entities) for which in (rel, rel + 1))
        for some in _runs(last - first, CHUNK):  # all facts of the relation, for each row
            number, fact = expand_rows(first[some], (last - first)[some])
            alike = self.key[fact] - rel[some][number] * self.num_entities
            value = self.inverse[head[some][number], alike] * self.factor[1, fact]
            here[some].view(-1).index_add_(0, number * self.num_entities + self.answer[fact], value)
        for fitted in (there, here):
            fitted[row, self.answer[place]] += 1
        return there, here

    def _sums(self, question: Tensor, first: Tensor, count: Tensor) -> Tensor:
        """:math:`G y` of questions, ``[B, N]``; those of many answers were summed up once."""
        slot = torch.searchsorted(self.hub, question).clamp_max(max(0, self.hub.numel() - 1))
        known = self.hub[slot] == question if self.hub.numel() else torch.zeros_like(question, dtype=torch.bool)
        few = torch.where(known, 0, count)
        sums = sum_rows(self.inverse, self.answer[expand_rows(first, few)[1]], few)
        sums[known] = self.hub_sums[slot[known]]
        return sums

    @torch.no_grad()
    def solve(self) -> RidgeScorer:
        """Makes the inverse, unless it is there already; called at the first use.

        Returns:
            RidgeScorer: The scorer itself.
        """
        if self.inverse.numel() == self.num_entities**2:
            return self
        asked, number = self.key.unique_consecutive(return_inverse=True)
        gram = self._gram(number, asked.numel())
        gram.diagonal().add_(self.penalty)
        factor = torch.linalg.cholesky(gram)
        del gram
        self.inverse = torch.cholesky_inverse(factor)
        del factor
        explained = self._explained(number, asked.numel())
        own = -self.penalty / (1 - explained.clamp(max=MOST_SHARE))
        relation = self.key // self.num_entities
        other = (relation + self.num_relations) % (2 * self.num_relations) * self.num_entities + self.answer
        turned = torch.searchsorted(asked, other)  # there, since each fact is asked from both sides
        self.factor = torch.stack([own[number], own[turned]])
        count = torch.bincount(number, minlength=asked.numel())
        hubs = count.topk(min(asked.numel(), self.num_entities // HUBS)).indices.sort().values
        first = count.cumsum(0) - count
        self.hub_sums = sum_rows(self.inverse, self.answer[expand_rows(first[hubs], count[hubs])[1]], count[hubs])
        self.hub = asked[hubs]
        return self

    def _gram(self, number: Tensor, questions: int) -> Tensor:
        """What entities have in common, ``[N, N]``, from the number of each fact's question."""
        entities = self.num_entities
        gram = torch.zeros(entities, entities, device=self.key.device)
        order = self.answer.argsort(stable=True)
        count = torch.bincount(self.answer, minlength=entities)
        step = max(1, CHUNK // max(1, questions))
        for start in range(0, entities, step):
            width = min(step, entities - start)
            theirs = torch.zeros(questions, width, device=gram.device)
            inside = (self.answer >= start) & (self.answer < start + width)
            theirs[number[inside], self.answer[inside] - start] = 1
            gram[:, start : start + width] = sum_rows(theirs, number[order], count)
        with fast_matmul():
            for name in self.feature_dims:
                x = self.get_buffer(_buffer(name)).float()
                gram.addmm_(x, x.T, alpha=self.modality_weight)
        return gram

    def _explained(self, number: Tensor, questions: int) -> Tensor:
        r""":math:`y^\top G y` of each question, ``[Q]``."""
        count = torch.bincount(number, minlength=questions)
        found = torch.zeros(questions, device=self.key.device)
        step = max(1, CHUNK // max(1, self.num_entities))
        first = 0
        for part in count.split(step):
            answers = self.answer[first : first + int(part.sum())]
            row = torch.repeat_interleave(torch.arange(part.numel(), device=part.device), part)
            mass = sum_rows(self.inverse, answers, part)[row, answers]
            found.index_add_(0, number[first : first + answers.numel()], mass)
            first += answers.numel()
        return found

    def _forget(self) -> None:
        for name in ("inverse", "factor", "hub_sums"):
            self.register_buffer(name, torch.zeros(0, device=self.key.device), persistent=False)
        self.register_buffer("hub", self.key.new_zeros(0), persistent=False)

    def _apply(self, *args: Any, **kwargs: Any) -> RidgeScorer:
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        if self.inverse.dtype != torch.float32:
            self._forget()  # it is solved in full precision, whatever features are kept in
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget()  # what was made of other facts
        super()._load_from_state_dict(*args, **kwargs)

    def config(self) -> dict[str, Any]:
        """The arguments, plain values."""
        return {
            "num_entities": self.num_entities,
            "num_relations": self.num_relations,
            "num_facts": self.key.numel() // 2,
            "feature_dims": self.feature_dims,
            "penalty": self.penalty,
            "modality_weight": self.modality_weight,
            "floor": self.floor,
        }

    def extra_repr(self) -> str:
        """What is shown of it."""
        kinds = f", modalities={list(self.feature_dims)}" if self.feature_dims else ""
        return f"{self.num_entities}, {self.num_relations}, facts={self.key.numel() // 2}{kinds}"


def _buffer(name: str) -> str:
    return f"features_{name}"


def _unit(x: Tensor, present: Tensor) -> Tensor:
    """Features of length one around their mean; zero where there are none."""
    if not bool(present.any()):
        return torch.zeros_like(x)
    x = nn.functional.normalize(x - x[present].mean(dim=0), dim=-1)
    return x * present[:, None]


def _runs(size: Tensor, most: int) -> list[slice]:
    """Runs of rows whose sizes sum up to no more than that, or which are one row."""
    runs, first, sum_ = [], 0, 0
    for place, number in enumerate(size.tolist()):
        if place > first and sum_ + number > most:
            runs.append(slice(first, place))
            first, sum_ = place, 0
        sum_ += number
    return [*runs, slice(first, size.numel())]
