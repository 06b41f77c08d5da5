import pytest
from torch_geometric.data import Data

from torch_geometric_dsom.data import Vocabulary
from torch_geometric_dsom.errors import ConfigError

WORDS = Vocabulary(["e0", "e1", "e2"], ["horse", "horse", "cow"], ["r0"], ["eats"])


def test_finds_by_row_id_and_label():
    assert WORDS.entity(2) == WORDS.entity("e2") == WORDS.entity("cow") == 2
    assert WORDS.relation("eats") == WORDS.relation("r0") == 0


def test_a_shared_label_lists_the_ids():
    with pytest.raises(ConfigError, match="'horse' is the label of 2; use one of the ids 'e0', 'e1'"):
        WORDS.entity("horse")


def test_unknown_names_get_a_hint():
    with pytest.raises(ConfigError, match="entity: unknown name 'caw'; did you mean 'cow'"):
        WORDS.entity("caw")
    same = Vocabulary(["red fig", "green fig"], ["red fig", "green fig"], ["r"], ["r"])  # labels that are the ids
    with pytest.raises(ConfigError, match="did you mean 'red fig' or 'green fig'\\?"):
        same.entity("red figg")
    with pytest.raises(ConfigError, match=r"relation: expected a row in \[0, 1\), got 7"):
        WORDS.relation(7)


def test_from_data_without_names_counts():
    words = Vocabulary.from_data(Data(num_nodes=3, num_relations=2))
    assert words.entity("2") == 2
    assert words.relation("1") == 1


def test_relations_that_share_a_label_keep_names_of_their_own():
    assert Vocabulary([], [], ["a", "b", "c"], ["is", "is", "has"]).relation_names == ("a", "b", "has")
    assert Vocabulary([], [], ["a", "b"], ["x", "y"]).relation_names == ("x", "y")
    # An id that is another one's label: ids alone tell them apart.
    assert Vocabulary([], [], ["a", "b", "c"], ["is", "is", "a"]).relation_names == ("a", "b", "c")
