"""Names of entities and relations, and how a user's name finds its row."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError


@dataclass(frozen=True)
class Vocabulary:
    """Ids and labels of the entities and relations of a graph.

    Args:
        entity_ids (list[str]): One an entity.
        entity_labels (list[str]): One an entity.
        relation_ids (list[str]): One a relation.
        relation_labels (list[str]): One a relation.

    Example:
        >>> words = Vocabulary(["Q1", "Q2"], ["sun", "moon"], ["P1"], ["orbits"])
        >>> words.entity("moon"), words.entity("Q1"), words.relation("orbits")
        (1, 0, 0)
    """

    entity_ids: Sequence[str]
    entity_labels: Sequence[str]
    relation_ids: Sequence[str]
    relation_labels: Sequence[str]
    _rows: dict[str, dict[str, list[int]]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_data(cls, data: Data) -> Vocabulary:
        """Takes the names of a graph in the data contract; numbers stand in where it has none."""
        entities = list(data["entity_ids"]) if "entity_ids" in data else [str(i) for i in range(data.num_nodes)]
        relations = (
            list(data["relation_ids"]) if "relation_ids" in data else [str(i) for i in range(data.num_relations)]
        )
        return cls(
            entities,
            list(data["entity_labels"]) if "entity_labels" in data else entities,
            relations,
            list(data["relation_labels"]) if "relation_labels" in data else relations,
        )

    @property
    def relation_names(self) -> tuple[str, ...]:
        """A name of its own for each relation: its label, or its id where several share the label.

        Example:
            >>> Vocabulary([], [], ["rdf:type", "dbo:type", "P1"], ["type", "type", "orbits"]).relation_names
            ('rdf:type', 'dbo:type', 'orbits')
        """
        count = Counter(self.relation_labels)
        pairs = zip(self.relation_labels, self.relation_ids, strict=True)
        names = tuple(label if count[label] == 1 else own for label, own in pairs)
        return names if len(set(names)) == len(names) else tuple(self.relation_ids)

    def entity(self, name: str | int) -> int:
        """The row of an entity, given by id, by label, or by row.

        Raises:
            ConfigError: If the name is unknown (with the nearest ones), or a label that several entities share.
        """
        return self._find("entity", name, self.entity_ids, self.entity_labels)

    def relation(self, name: str | int) -> int:
        """The row of a relation, given by id, by label, or by row.

        Raises:
            ConfigError: If the name is unknown (with the nearest ones), or a label that several relations share.
        """
        return self._find("relation", name, self.relation_ids, self.relation_labels)

    def _find(self, what: str, name: str | int, ids: Sequence[str], labels: Sequence[str]) -> int:
        if isinstance(name, int):
            if not 0 <= name < len(ids):
                raise ConfigError(f"{what}: expected a row in [0, {len(ids)}), got {name}")
            return name
        for kind, names in (("ids", ids), ("labels", labels)):
            if what + kind not in self._rows:
                rows: dict[str, list[int]] = {}
                for row, known in enumerate(names):
                    rows.setdefault(known, []).append(row)
                self._rows[what + kind] = rows
            found = self._rows[what + kind].get(name, [])
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                several = ", ".join(repr(ids[row]) for row in found[:5])
                raise ConfigError(f"{what}: '{name}' is the label of {len(found)}; use one of the ids {several}")
        close = difflib.get_close_matches(name, list(dict.fromkeys([*labels, *ids])), n=3)
        hint = f"; did you mean {' or '.join(repr(word) for word in close)}?" if close else ""
        raise ConfigError(f"{what}: unknown name '{name}'{hint}")
