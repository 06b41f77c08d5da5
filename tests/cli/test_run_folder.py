import pytest

from torch_geometric_dsom.cli.run_folder import OURS, RunFolder, write_text
from torch_geometric_dsom.errors import ConfigError


def test_clearing_leaves_the_files_of_others(tmp_path):
    for name in OURS:
        (tmp_path / name).write_text("ours")
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder(tmp_path).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_graph_of_a_run_with_and_without_features(run):
    folder = RunFolder(run[0])
    assert folder.config().seed == 4
    assert "x_image" in folder.data()
    assert "x_image" not in folder.data(features=False)
    assert folder.trainer().config.rank == 4


def test_damage_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read("results.json") is None
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ConfigError, match=r"results\.json' cannot be read"):
        folder.read("results.json")
    with pytest.raises(ConfigError, match="does not tell the dataset; give --dataset"):
        folder.data()


def test_a_file_is_written_as_a_whole(tmp_path):
    path = write_text(tmp_path / "new" / "a.txt", "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_text(path / "below", "three")
