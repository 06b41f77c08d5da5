"""Whether a scorer is as sure as it is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from torch_geometric_dsom.data.known_answers import KnownAnswers
from torch_geometric_dsom.data.triples import graph_sizes, split_triples, with_inverses
from torch_geometric_dsom.errors import ConfigError, DataError
from torch_geometric_dsom.evaluation.scoring import SCORE_BYTES, ScoreBuffer, TailScorer, evaluation_mode

TEMPERATURES = tuple(2 ** (number / 4) for number in range(-16, 17))  # from a sixteenth to 16


@dataclass(frozen=True, eq=False)
class Calibration:
    r"""Queries sorted into bins by the probability of their best answer.

    Args:
        confidence (Tensor): Mean probability of the best answer in each bin, ``[bins]``; NaN where a bin is empty.
        accuracy (Tensor): Share of queries of each bin whose best answer is right, ``[bins]``.
        count (Tensor): Queries of each bin, ``[bins]``.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor

    @property
    def error(self) -> float:
        r"""Expected calibration error: :math:`\sum_b \frac{n_b}{n} | \mathrm{accuracy}_b - \mathrm{confidence}_b |`."""
        gap = (self.accuracy - self.confidence).abs().nan_to_num()
        return float((gap * self.count).sum() / self.count.sum())

    @property
    def bias(self) -> float:
        """Mean confidence minus mean accuracy: above zero where the scorer is too sure."""
        gap = (self.confidence - self.accuracy).nan_to_num()
        return float((gap * self.count).sum() / self.count.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values; empty bins are left out."""
        there = self.count > 0
        columns = {name: getattr(self, name)[there].tolist() for name in ("confidence", "accuracy", "count")}
        return {"error": self.error, "bias": self.bias, **columns}


def bin_confidences(confidence: Tensor, correct: Tensor, bins: int = 10) -> Calibration:
    """Sorts queries into bins of equal width, see :class:`Calibration`.

    Args:
        confidence (Tensor): Probability of the best answer of each query, ``[M]``, in :math:`[0, 1]`.
        correct (Tensor): Whether that answer is right, ``[M]`` bool.
        bins (int): Number of bins. (default: :obj:`10`)

    Raises:
        ConfigError: If there is less than one bin.

    Example:
        >>> import torch
        >>> found = bin_confidences(torch.tensor([0.9, 0.7, 0.1]), torch.tensor([True, False, False]), bins=2)
        >>> round(found.error, 4)  # two of three queries at 0.8, half of them right; one at 0.1, wrong
        0.2333
    """
    if bins < 1:
        raise ConfigError(f"bins: expected a positive number, got {bins}")
    place = (confidence * bins).long().clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    sure, right = (
        torch.zeros(bins, dtype=torch.float64).index_add_(0, place, values.double()) / count
        for values in (confidence, correct)
    )
    return Calibration(sure, right, count)


@torch.inference_mode()
def calibration(
    scorer: TailScorer, data: Data, split: str = "val", bins: int = 10, known: KnownAnswers | None = None
) -> Calibration:
    """How sure a scorer is of its best answers to the queries of a split, and how often they are right.

    Both directions of every fact are asked. Other known answers are left out, as in filtered ranks, and the softmax
    runs over what remains.

    Args:
        scorer (object): With ``score_tails(head, rel) -> [B, N]``, relations in :math:`[0, 2R)`.
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"val"`)
        bins (int): Number of bins. (default: :obj:`10`)
        known (KnownAnswers, optional): What is left out; the facts of all splits if :obj:`None`.

    Raises:
        DataError: If the split is empty.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=1)
        >>> class Sure:
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return torch.tensor([[0.0, 0.0, 50.0]]).expand(head.numel(), 3)  # entity 2, always
        >>> calibration(Sure(), data, split="train").bias  # sure, and always wrong
        1.0
    """
    confidence, correct = [], []
    for scores, target in _filtered(scorer, data, split, known):
        best = scores.softmax(dim=-1).max(dim=-1)
        confidence.append(best.values.double().cpu())
        correct.append(best.indices.cpu() == target)
    return bin_confidences(torch.cat(confidence), torch.cat(correct), bins)


@torch.inference_mode()
def fit_temperature(
    scorer: TailScorer,
    data: Data,
    split: str = "val",
    known: KnownAnswers | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
) -> float:
    r"""The temperature at which a scorer is as sure as it is right, as in `"On Calibration of Modern Neural Networks"
    <https://arxiv.org/abs/1706.04599>`_: of those tried, the one with the least

    .. math::
        -\sum_{(h, r, t)} \log \mathrm{softmax}(z(h, r, \cdot) / T)_t

    over the facts of a split, asked and filtered as in :func:`calibration`. Ranks are the same at any.

    Args:
        scorer (object): With ``score_tails(head, rel) -> [B, N]``, relations in :math:`[0, 2R)`.
        data (Data): A graph in the data contract.
        split (str): ``"train"``, ``"val"`` or ``"test"``. (default: :obj:`"val"`)
        known (KnownAnswers, optional): What is left out; the facts of training and of the split if :obj:`None`, so
            that those of no other one are read.
        temperatures (list[float]): What is tried. (default: from a sixteenth to 16, four to each doubling)

    Raises:
        ConfigError: If no temperature is given, or one is not positive.
        DataError: If the split is empty.

    Example:
        >>> import torch
        >>> data = Data(edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]), num_nodes=3, num_relations=1)
        >>> class TooSure:
        ...     def score_tails(self, head, rel, candidates=None):
        ...         return torch.tensor([[0.0, 0.0, 50.0]]).expand(head.numel(), 3)  # entity 2, never right
        >>> fit_temperature(TooSure(), data, split="train", temperatures=[1.0, 2.0])
        2.0
    """
    if not len(temperatures) or not min(temperatures) > 0:
        raise ConfigError(f"temperatures: expected some, all of them positive, got {list(temperatures)}")
    known = known if known is not None else KnownAnswers.from_data(data, splits=("train", split))
    total = torch.zeros(len(temperatures), dtype=torch.float64)
    for scores, target in _filtered(scorer, data, split, known):
        place = target.to(scores.device)
        for number, temperature in enumerate(temperatures):
            total[number] += torch.nn.functional.cross_entropy(scores / temperature, place, reduction="sum").cpu()
    return float(temperatures[int(total.argmin())])


def _filtered(
    scorer: TailScorer, data: Data, split: str, known: KnownAnswers | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores of some facts' questions, other known answers left out, and the right answers."""
    num_entities, num_relations = graph_sizes(data)
    facts = with_inverses(split_triples(data, split), num_relations)
    if facts.size(0) == 0:
        raise DataError(f"split: expected facts in data, found none in '{split}'")
    known = known if known is not None else KnownAnswers.from_data(data)
    size = max(1, SCORE_BYTES // (4 * num_entities))
    score = ScoreBuffer(scorer, num_entities, size)
    with evaluation_mode(scorer):
        # Facts of the same question side by side, which is asked once then.
        for part in facts[(facts[:, 1] * num_entities + facts[:, 0]).argsort()].split(size):
            head, relation, target = part.unbind(dim=-1)
            asked, place = part[:, :2].unique(dim=0, return_inverse=True)
            scores = score(asked[:, 0], asked[:, 1])
            scores = scores[place.to(scores.device)]
            row, answer = known.rows(head, relation)
            other = answer != target[row]
            scores[row[other].to(scores.device), answer[other].to(scores.device)] = -torch.inf
            yield scores, target
