import json

from torch_geometric_dsom.datasets import DATASETS


def test_all_are_told(call):
    listed = call("datasets")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in DATASETS)
    assert set(json.loads(call("datasets", "--json").stdout)) == set(DATASETS)
