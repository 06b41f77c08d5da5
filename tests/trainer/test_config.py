import json

import pytest

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.trainer import DSoMConfig, FitConfig
from torch_geometric_dsom.trainer.config import update


def test_round_trip_through_json():
    config = update(DSoMConfig(), {"rank": 7, "beta": None, "student_fit": {"lr": 0.5}})
    assert DSoMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_nested_values_keep_the_other_defaults():
    config = DSoMConfig.from_dict({"student_fit": {"epochs": 3}})
    assert config.student_fit == FitConfig(**{**DSoMConfig().to_dict()["student_fit"], "epochs": 3})
    assert DSoMConfig.from_dict({"gamma": 2}).gamma == 2.0
    assert DSoMConfig.from_dict({"student_fit": FitConfig(epochs=9)}).student_fit.epochs == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1.0}, "temprature: unknown option; did you mean 'temperature'"),
        ({"student_fit": {"epoch": 1}}, "student_fit.epoch: unknown option; did you mean 'student_fit.epochs'"),
        ({"rank": "ten"}, "rank: expected int, got str 'ten'"),
        ({"rank": 2.5}, "rank: expected int, got float 2.5"),
        ({"rank": True}, "rank: expected int, got bool True"),
        ({"beta": "x"}, "beta: expected float or None, got str 'x'"),
        ({"gamma": None}, "gamma: expected float, got NoneType None"),
        ({"mask_absent": 1}, "mask_absent: expected bool, got int 1"),
        ({"rank": 0}, "rank: expected a positive number, got 0"),
        ({"teacher_dropout": 1.0}, "teacher_dropout: .* got 1.0"),
        ({"temperature": 0.0}, "temperature: .* got 0.0"),
        ({"beta": -1.0}, "beta: .* got -1.0"),
        ({"alpha": -1.0}, "alpha: .* got -1.0"),
        ({"distilled_n3": -1.0}, "distilled_n3: .* got -1.0"),
        ({"path_weight": -1.0}, "path_weight: .* got -1.0"),
        ({"path_layers": 0}, "path_layers: expected a positive number, got 0"),
        ({"path_fit": {"epochs": 0}}, "epochs: expected a positive number, got 0"),
        ({"unlabelled_degree": -1.0}, "unlabelled_degree: .* got -1.0"),
        ({"selection": "best"}, "selection: .* got 'best'"),
        ({"reward": "praise"}, "reward: .* got 'praise'"),
        ({"reward_facts": "test"}, "reward_facts: .* got 'test'"),
        ({"unlabelled_selection": "best"}, "unlabelled_selection: .* got 'best'"),
        ({"neighbors": "near"}, "neighbors: .* got 'near'"),
        ({"student_fit": {"optimizer": "sgd"}}, "optimizer: .* got 'sgd'"),
        ({"student_fit": {"lr": 0.0}}, "lr: .* got 0.0"),
        ({"student_fit": {"n3": -1.0}}, "n3: .* got -1.0"),
        ({"student_fit": {"patience": 0}}, "patience: .* got 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        DSoMConfig.from_dict(options)


def test_lookahead_wants_all_candidates():
    with pytest.raises(ConfigError, match="candidates: expected 'all' with reward 'lookahead', got 'topk'"):
        DSoMConfig(candidates="topk", reward="lookahead")
