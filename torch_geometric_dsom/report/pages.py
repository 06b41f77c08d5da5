"""Small pages: the explanation of a fact, and answers to a question."""

from __future__ import annotations

from collections.abc import Sequence

from torch_geometric.data import Data

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.datasets import Gallery
from torch_geometric_dsom.report.template import render
from torch_geometric_dsom.trainer import EntityCard, Explanation, Prediction
from torch_geometric_dsom.trainer.explain import entity_card


def explanation_page(explanation: Explanation, gallery: Gallery | None = None) -> str:
    """An explanation as a page with pictures.

    Args:
        explanation (Explanation): Of :func:`~torch_geometric_dsom.trainer.explain`.
        gallery (Gallery, optional): Pictures of the entities.

    Returns:
        str: One file of HTML that asks the network for nothing.

    Raises:
        MissingPackageError: If jinja2 is not installed.
    """
    return render("explanation.html.j2", gallery, told=explanation)


def answers_page(
    answers: Sequence[Prediction],
    data: Data,
    relation: str | int,
    head: str | int | None = None,
    tail: str | int | None = None,
    gallery: Gallery | None = None,
) -> str:
    """Answers to a question as a page with pictures.

    Args:
        answers (list[Prediction]): Of ``trainer.predict``.
        data (Data): The graph.
        relation (str or int): Id, label or row of the relation.
        head (str or int, optional): The head, where tails were asked for.
        tail (str or int, optional): The tail, where heads were asked for.
        gallery (Gallery, optional): Pictures of the entities.

    Returns:
        str: One file of HTML that asks the network for nothing.

    Raises:
        ConfigError: If a name is unknown.
        MissingPackageError: If jinja2 is not installed.
    """
    names = Vocabulary.from_data(data)
    asked = "tail" if head is not None else "head"
    query = entity_card(data, names, names.entity(head if head is not None else tail if tail is not None else 0))
    cards: list[EntityCard] = [entity_card(data, names, answer.entity) for answer in answers]
    label = names.relation_labels[names.relation(relation)]
    rows = list(zip(answers, cards, strict=True))
    return render("answers.html.j2", gallery, query=query, relation=label, asked=asked, rows=rows)
