import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.datasets import read_columns, read_triples
from torch_geometric_dsom.errors import DataError

FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
VALUE = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: text.strip() != "" and not text.startswith("\ufeff")
)
BIG = 10**9


def write(tmp_path: Path, content: str | bytes, name: str = "facts.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def test_columns_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, "Q1\tZürich\t\nQ2\t\tcity\n")
    assert read_columns(path, ("id", "name", "kind")) == [("Q1", "Zürich", ""), ("Q2", "", "city")]


def test_triples_by_hand(tmp_path: Path) -> None:
    edge_index, edge_type = read_triples(write(tmp_path, "0\t1\t2\n2\t0\t0\n0\t1\t2\n"), 3, 2)
    assert torch.equal(edge_index, torch.tensor([[0, 2, 0], [2, 0, 2]]))
    assert torch.equal(edge_type, torch.tensor([1, 0, 1]))
    assert edge_index.dtype == edge_type.dtype == torch.int64
    assert edge_index.is_contiguous()
    assert edge_type.is_contiguous()


@pytest.mark.parametrize(
    "content",
    ["0\t1\t2\r\n1\t0\t0\r\n", "\ufeff0\t1\t2\n1\t0\t0", "\n0\t1\t2\n\n  \n1\t0\t0\n\n", " 0\t1 \t2\n1\t0\t+0\n"],
    ids=["crlf", "byte order mark", "blank lines", "spaces"],
)
def test_what_is_tolerated(tmp_path: Path, content: str) -> None:
    edge_index, edge_type = read_triples(write(tmp_path, content), 3, 2)
    assert edge_index.tolist() == [[0, 1], [2, 0]]
    assert edge_type.tolist() == [1, 0]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_empty_file_has_no_facts(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    edge_index, edge_type = read_triples(path, 3, 2)
    assert edge_index.shape == (2, 0)
    assert edge_type.shape == (0,)
    assert read_columns(path, ("a", "b")) == []


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("0\t0\t1\n\n0 0 1\n", 3, r"expected 3 tab-separated columns \(head, relation, tail\), got 1 in '0 0 1'"),
        ("0\t0\t1\n0\t0\t1\t1\n", 2, r"expected 3 tab-separated columns .*, got 4"),
        ("0\t0\n1\t0\n", 1, r"expected 3 tab-separated columns .*, got 2"),
        ("0\t0\t1\n0\tx\t1\n", 2, "expected an integer as relation, got 'x'"),
        ("0\t0\t1.0\n", 1, "expected an integer as entity, got '1.0'"),
        ("0\t0\t1_0\n", 1, "expected an integer as entity, got '1_0'"),
        ("0\t0\t٣\n", 1, "expected an integer as entity, got '٣'"),
        ("0\t0\t\n", 1, "expected an integer as entity, got ''"),
        ("0\t0\t1\n3\t0\t1\n", 2, r"expected entity in \[0, 3\), got 3"),
        ("0\t0\t-1\n", 1, r"expected entity in \[0, 3\), got -1"),
        ("0\t2\t1\n", 1, r"expected relation in \[0, 2\), got 2"),
        ("0\t0\t99999999999999999999\n", 1, r"expected entity in \[0, 3\), got 99999999999999999999"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, content: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=rf"facts\.tsv:{line}: {message}"):
        read_triples(write(tmp_path, content), 3, 2)


def test_not_utf8_names_line_and_byte(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"facts\.tsv:2: expected UTF-8, got the byte 0xff"):
        read_columns(write(tmp_path, b"a\tb\nc\t\xff\n"), ("x", "y"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv: expected a file, found none"):
        read_columns(tmp_path / "none.tsv", ("x",))
    with pytest.raises(DataError, match="expected a readable file"):
        read_columns(tmp_path, ("x",))


def test_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "ada\tlives in\tzurich\n")
    entities, relations = {"ada": 0, "zurich": 1}, {"lives in": 0}
    edge_index, edge_type = read_triples(path, 2, 1, entities=entities, relations=relations)
    assert edge_index.tolist() == [[0], [1]]
    assert edge_type.tolist() == [0]


def test_labels_for_entities_alone(tmp_path: Path) -> None:
    edge_index, edge_type = read_triples(write(tmp_path, "b\t4\ta\n"), 2, 5, entities={"a": 0, "b": 1})
    assert edge_index.tolist() == [[1], [0]]
    assert edge_type.tolist() == [4]


def test_unknown_label_is_named_with_a_suggestion(tmp_path: Path) -> None:
    entities, relations = {"ada": 0, "zurich": 1}, {"lives in": 0}
    message = r":2: unknown entity 'zurch', expected one of 2 labels; did you mean 'zurich'\?"
    with pytest.raises(DataError, match=message):
        read_triples(
            write(tmp_path, "ada\tlives in\tzurich\nada\tlives in\tzurch\n"),
            2,
            1,
            entities=entities,
            relations=relations,
        )
    with pytest.raises(DataError, match=r":1: unknown relation 'qqq', expected one of 1 labels$"):
        read_triples(write(tmp_path, "ada\tqqq\tzurich\n"), 2, 1, entities=entities, relations=relations)
    with pytest.raises(DataError, match=r":1: expected entity in \[0, 1\), got 1"):
        read_triples(write(tmp_path, "ada\tlives in\tzurich\n"), 1, 1, entities=entities, relations=relations)


@FOLDER
@given(rows=st.lists(st.tuples(VALUE, VALUE, VALUE)), end=st.sampled_from(["\n", "\r\n"]), mark=st.booleans())
def test_columns_round_trip(tmp_path: Path, rows: list[tuple[str, str, str]], end: str, mark: bool) -> None:
    text = ("\ufeff" if mark else "") + "".join("\t".join(row) + end for row in rows)
    assert read_columns(write(tmp_path, text), ("a", "b", "c")) == rows


@FOLDER
@given(rows=st.lists(st.tuples(st.integers(0, BIG - 1), st.integers(0, 9), st.integers(0, BIG - 1))), odd=st.booleans())
def test_triples_round_trip_fast_and_slow(tmp_path: Path, rows: list[tuple[int, int, int]], odd: bool) -> None:
    text = "".join(f"{h}\t{r}\t{t}\n" for h, r, t in rows) + (" \n" if odd else "")  # the odd line takes the slow way
    edge_index, edge_type = read_triples(write(tmp_path, text), BIG, 10)
    assert list(zip(edge_index[0].tolist(), edge_type.tolist(), edge_index[1].tolist(), strict=True)) == rows


@FOLDER
@given(
    rows=st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1),
)
def test_label_triples_round_trip(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    names = sorted({label for row in rows for label in (row[0], row[2])})
    kinds = sorted({row[1] for row in rows})
    path = write(tmp_path, "".join("\t".join(row) + "\n" for row in rows))
    (head, tail), relation = read_triples(
        path,
        len(names),
        len(kinds),
        entities={name: i for i, name in enumerate(names)},
        relations={name: i for i, name in enumerate(kinds)},
    )
    back = [(names[h], kinds[r], names[t]) for h, r, t in zip(head, relation, tail, strict=True)]
    assert back == rows


def test_integers_are_read_fast(tmp_path: Path) -> None:
    path = write(tmp_path, "1234\t12\t4321\n" * 100_000)
    start = time.perf_counter()
    edge_index, _ = read_triples(path, 5000, 20)
    assert edge_index.shape == (2, 100_000)
    assert time.perf_counter() - start < (5 if sys.gettrace() is None else 60)  # about 0.05 s; by lines 0.4 s
