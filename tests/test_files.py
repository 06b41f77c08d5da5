import os

import pytest

from torch_geometric_dsom.files import whole_file


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with whole_file(path) as part:
        part.write_text("first")
        assert not path.exists()
        assert part.suffix == ".txt"  # what is written may depend on the ending
    assert path.read_text() == "first"

    def fail():
        with whole_file(path) as part:
            part.write_text("half")
            raise RuntimeError("no more room")

    with pytest.raises(RuntimeError, match="no more room"):
        fail()
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["a.txt"]
