from dataclasses import asdict

import pytest

from torch_geometric_dsom.errors import CheckpointError
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.phase_keeper import check_same


def test_a_phase_goes_on_as_it_was_begun():
    config = FitConfig(lr=0.25)
    check_same("student", asdict(config), config)
    with pytest.raises(CheckpointError, match="student: the run there has lr=0.25, got 0.5"):
        check_same("student", asdict(config), FitConfig(lr=0.5))


def test_an_option_that_there_was_none_of_counts_with_its_default():
    config = FitConfig(lr=0.25)
    before = {name: value for name, value in asdict(config).items() if name != "relation_prediction"}
    check_same("student", before, config)
    with pytest.raises(CheckpointError, match="the run there has relation_prediction=0.0, got 1.0"):
        check_same("student", before, FitConfig(lr=0.25, relation_prediction=1.0))
