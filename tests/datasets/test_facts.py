import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.datasets.facts import read_facts
from torch_geometric_dsom.errors import DataError

# What UTF-8 and CSV can hold: no surrogates, no NUL.
LABEL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(str.strip).filter(bool)


FACTS = [("ada", "knows", "bob"), ("bob", "knows", "cy")]
MESSY = {
    "tsv": b"\xef\xbb\xbfhead\trelation\ttail\r\n\r\nada\tknows\tbob\r\n   \r\nbob\tknows\tcy",
    "csv": b'\xef\xbb\xbfhead,relation,tail\r\n\r\nada,knows,bob\r\n\r\n"bob","knows","cy"',
    "nt": b"\xef\xbb\xbf# facts\r\n\r\n<ada> <knows> <bob> .\r\n  <bob>\t<knows> <cy>.",
}


@pytest.mark.parametrize("kind", MESSY)
def test_byte_order_mark_crlf_blank_lines_header_and_no_last_line_end(kind, tmp_path):
    (tmp_path / f"train.{kind}").write_bytes(MESSY[kind])
    assert list(read_facts(tmp_path / f"train.{kind}")) == FACTS


@given(st.binary(max_size=200), st.sampled_from(["tsv", "csv", "nt"]))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_random_bytes_are_facts_or_one_clear_error(tmp_path_factory, content, kind):
    path = tmp_path_factory.mktemp("random") / f"train.{kind}"
    path.write_bytes(content)
    message, facts = f"train.{kind}", []
    try:
        facts = list(read_facts(path))
    except DataError as error:
        message = str(error)
    assert f"train.{kind}" in message
    assert all(len(fact) == 3 and all(fact) for fact in facts)


@given(st.lists(st.tuples(*[LABEL] * 3), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_a_csv_writer_writes_is_read_again(tmp_path_factory, facts):
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("head", "relation", "tail"), *facts])
    assert list(read_facts(path)) == facts
