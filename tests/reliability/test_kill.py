"""A run that is killed without a word, anywhere, goes on and ends with the same bits."""

import pytest


@pytest.fixture(scope="module")
def whole(workload, tmp_path_factory):
    code, found = workload.start(tmp_path_factory.mktemp("whole") / "run")
    assert code == 0
    assert set(workload.GROUPS) == set(found["counts"])
    return found


@pytest.mark.parametrize("group", ["cache", "student", "write"])
def test_killed_once(workload, whole, tmp_path, group):
    (moment,) = (m for m in workload.moments(whole["counts"], 1, seed=1) if m[0] == group)
    workload.killed_and_resumed(tmp_path / "run", moment, whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(25))
def test_killed_at_twenty_five_moments(workload, whole, tmp_path, number):
    workload.killed_and_resumed(tmp_path / "run", workload.moments(whole["counts"], 5, seed=0)[number], whole)
