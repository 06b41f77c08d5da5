import importlib.util
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "reliability"


def load(name):
    spec = importlib.util.spec_from_file_location(f"reliability_{name}", PLACE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def workload():
    return load("workload")


@pytest.fixture(scope="session")
def fuzz():
    return load("fuzz")
