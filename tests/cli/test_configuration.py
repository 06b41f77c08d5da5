import pytest

from torch_geometric_dsom.cli.configuration import Layer, RunConfig, parse_options, read_file, resolve
from torch_geometric_dsom.errors import ConfigError


def test_parse_options_nests_and_refuses_what_contradicts():
    assert parse_options(["beta=null", "a.b=1", "a.c=x"]) == {"beta": None, "a": {"b": 1, "c": "x"}}
    with pytest.raises(ConfigError, match="'a' was given a value already"):
        parse_options(["a=1", "a.b=2"])


def test_layers_and_where_each_value_comes_from():
    layers = [Layer("file", {"rank": 8, "student_fit": {"lr": 0.5}}), Layer("flag", {"student_fit": {"n3": 0.1}})]
    config = resolve(layers)
    assert config.options.student_fit.lr == 0.5
    assert config.options.student_fit.n3 == 0.1
    assert config.options.student_fit.epochs == RunConfig().options.student_fit.epochs
    assert config.chosen() == {
        "rank": (8, "file"),
        "student_fit.lr": (0.5, "file"),
        "student_fit.n3": (0.1, "flag"),
    }
    assert resolve([Layer("again", config.to_dict())]) == config


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "rank: 8\ngama: 1.0\n", r"a\.yaml:2: gama: unknown option; did you mean 'gamma'"),
        ("a.yaml", "datset: DB15K\n", r"a\.yaml:1: datset: unknown option; did you mean 'dataset'"),
        ("a.yaml", "\nseed: one\n", r"a\.yaml:2: seed: expected int, got str 'one'"),
        ("a.yaml", "student_fit:\n  epochs: 3\n  lr: -1\n", r"a\.yaml:3: lr: expected a positive number, got -1"),
        ("a.yaml", "student_fit:\n  lrr: 1\n", r"a\.yaml:2: student_fit\.lrr: .*did you mean 'student_fit\.lr'"),
        ("a.yaml", "rank: 8\nrank: 9\n", r"a\.yaml:2: 'rank' is there twice, first in line 1"),
        ("a.yaml", "taught_by: mine\n", r"a\.yaml:1: taught_by: expected list of str, got str 'mine'"),
        ("a.json", '{"taught_by": [1]}', r"a\.json:1: taught_by: expected list of str, got list \[1\]"),
        ("a.yaml", "rank: [1\n", r"a\.yaml:\d: not YAML"),
        ("a.yaml", "- rank\n", r"a\.yaml:1: expected names with values, got list"),
        ("a.yaml", "x: !!python/object/apply:os.system ['true']\n", r"a\.yaml:1: not YAML"),
        ("a.json", '{\n\t"rank": 8,\n\t"gama": 1\n}', r"a\.json:3: gama: unknown option"),
        ("a.json", '{"rank": 8,}', r"a\.json:1: not JSON"),
        ("a.toml", "rank = 8", r"expected a file that ends in \.yaml, \.yml or \.json, got '.*a\.toml'"),
    ],
)
def test_an_error_of_a_file_names_file_and_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        resolve([read_file(tmp_path / name)])


def test_numbers_that_yaml_takes_for_text(tmp_path):
    (tmp_path / "a.yml").write_text("agent_lr: 1e-3\ndataset: 1e5\nstudent_fit: {lr: 5E-2}\n", encoding="utf-8")
    config = resolve([read_file(tmp_path / "a.yml")])
    assert (config.options.agent_lr, config.dataset, config.options.student_fit.lr) == (0.001, "1e5", 0.05)


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert resolve([read_file(tmp_path / "a.yaml")]) == RunConfig()
