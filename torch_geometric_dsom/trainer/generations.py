"""A further generation: finished students teach the next one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.nn import EmbeddingScorer, Guide, GuidedScorer, Scorer, product_of_experts
from torch_geometric_dsom.trainer.experts import FUSED, STRUCTURE
from torch_geometric_dsom.trainer.guides import UNTRAINED, WEIGHTS, calibrated, fit_guides
from torch_geometric_dsom.trainer.student import Student, as_student

if TYPE_CHECKING:
    from torch_geometric_dsom.trainer.dsom import DSoMTrainer


def next_teachers(
    students: Sequence[Scorer | Student | DSoMTrainer],
    data: Data,
    weights: Sequence[float] = WEIGHTS,
    kinds: Sequence[str] | None = None,
    shrinkage: float = math.inf,
    guides: Sequence[str | Guide] = UNTRAINED,
    calibrate: bool = False,
) -> dict[str, EmbeddingScorer | GuidedScorer]:
    r"""Teachers of a further generation: finished students side by side, and the same asked together with guides.

    A student that was distilled may teach one of its own size, as `"Born-Again Neural Networks"
    <https://arxiv.org/abs/1805.04770>`_ do. Here :math:`K` students, of other seeds, teach together, and listen to
    rules, resembling entities and frequencies, whose weights :math:`w_g` validation facts choose:

    .. math::
        z_{\text{structure}}(h, r, t) = \frac{1}{K} \sum_{k=1}^K z_k(h, r, t), \qquad
        z_{\text{fused}}(h, r, t) = z_{\text{structure}}(h, r, t) + \sum_g w_g \, e_g(h, r, t)

    What the former teachers saw in pictures and texts reaches the next student through the former ones alone, and
    through what the guides are told of modalities.

    Args:
        students (list): Finished :class:`~torch_geometric_dsom.DSoMTrainer` of seeds of their own, what
            :class:`~torch_geometric_dsom.trainer.Student` has loaded, or scorers; of the entities and relations of the
            graph.
        data (Data): A graph in the data contract, with validation facts; its test facts are not read.
        weights (list[float]): As all that follow, see :func:`~torch_geometric_dsom.trainer.fit_guides`.
            (default: :obj:`(0.0, 0.25, 0.5, 1.0, 2.0, 3.0)`)
        kinds (list[str], optional): Which modalities the resembling entities are told by; all that the graph has if
            :obj:`None`, since a teacher may see them. (default: :obj:`None`)
        shrinkage (float): With a finite one, weights are chosen for each relation. (default: :obj:`math.inf`)
        guides (list[str or Guide]): Which guides are tried. (default: all but ``"paths"``, which is trained)
        calibrate (bool): Whether the fused one is given the temperature at which validation facts are likeliest: the
            weights that rank them best may make it too sure to teach. (default: :obj:`False`)

    Returns:
        dict: ``"structure"`` and ``"fused"``, frozen, to be the :obj:`teachers` of a trainer; the former alone where
        validation prefers no guide.

    Raises:
        ConfigError: If there is no student, or one is not trained, or sizes disagree; else see
            :func:`~torch_geometric_dsom.trainer.fit_guides`.
        DataError: If a student knows other entities or relations; else see
            :func:`~torch_geometric_dsom.trainer.fit_guides`.

    Example:
        >>> from torch_geometric_dsom import DSoMTrainer
        >>> from torch_geometric_dsom.datasets import FakeMMKG
        >>> data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=90)[0]
        >>> options = {"rank": 4, "teacher_fit": {"epochs": 1}, "student_fit": {"epochs": 1}, "progress": False}
        >>> students = [DSoMTrainer(seed, **options).fit(data) for seed in (0, 1)]
        >>> DSoMTrainer(seed=2, teachers=next_teachers(students, data, weights=[1.0]), **options).fit(data)
        DSoMTrainer(seed=2, rank=4, trained, teachers=['structure', 'fused'])
    """
    if not students:
        raise ConfigError("students: expected at least one, got none")
    scorers = [_scorer(student, data) for student in students]
    fused = fit_guides(product_of_experts(scorers), data, weights, kinds, shrinkage, guides)
    together = fused
    while isinstance(together, GuidedScorer):
        together = together.scorer
    if together is fused:
        return {STRUCTURE: together}
    return {STRUCTURE: together, FUSED: calibrated(fused, data) if calibrate else fused}  # type: ignore[dict-item]


def _scorer(student: Scorer | Student | DSoMTrainer, data: Data) -> Scorer:
    if isinstance(student, Scorer):
        return student
    named = as_student(student)
    named.check(data)
    return named.tables
