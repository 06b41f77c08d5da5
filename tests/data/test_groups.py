import torch
from hypothesis import given
from hypothesis import strategies as st

from torch_geometric_dsom.data import CSR, GroupRows, expand_rows, sum_rows
from torch_geometric_dsom.data.groups import compact


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30), st.lists(st.integers(0, 8), max_size=12))
def test_csr_equals_a_dictionary_of_sets(pairs, keys):
    sets = {}
    for key, value in pairs:
        sets.setdefault(key, set()).add(value)
    csr = CSR(
        torch.tensor([k for k, _ in pairs], dtype=torch.long), torch.tensor([v for _, v in pairs], dtype=torch.long), 5
    )
    row, value = csr.rows(torch.tensor(keys, dtype=torch.long))
    expected = [(i, v) for i, key in enumerate(keys) for v in sorted(sets.get(key, ()))]
    assert list(zip(row.tolist(), value.tolist(), strict=True)) == expected
    assert csr.num_keys == len(sets)
    assert csr.num_values == sum(map(len, sets.values()))


def test_csr_moves():
    sets = CSR(torch.tensor([1]), torch.tensor([0]), 1)
    assert sets.to("cpu") is sets


def test_expand_rows_with_empty_slices():
    row, position = expand_rows(torch.tensor([4, 0, 9]), torch.tensor([1, 0, 2]))
    assert row.tolist() == [0, 2, 2]
    assert position.tolist() == [4, 9, 10]


def test_sums_of_runs_of_rows():
    table = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    sums = sum_rows(table, torch.tensor([2, 2, 0, 1]), torch.tensor([3, 0, 1]))
    assert sums.tolist() == [[9.0, 90.0], [0.0, 0.0], [2.0, 20.0]]


def test_group_rows_as_a_mask():
    rows = GroupRows(torch.tensor([0, 2]), torch.tensor([1, 0]), 3)
    assert rows.dense(2).tolist() == [[False, True], [False, False], [True, False]]


def test_split_by_runs_of_rows():
    groups = GroupRows(torch.tensor([4, 0, 2, 0, 4]), torch.tensor([7, 1, 3, 2, 5]), 6)
    parts = groups.split([slice(0, 1), slice(1, 4), slice(4, 6)])
    assert [part.num_rows for part in parts] == [1, 3, 2]
    assert torch.equal(torch.cat([part.dense(8) for part in parts]), groups.dense(8))
    assert torch.equal(groups.split([slice(0, 6)])[0].dense(8), groups.dense(8))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_numbers_are_compacted_by_table_and_by_sorting_alike(numbers):
    key = torch.tensor(numbers)
    wanted, place = key.unique(return_inverse=True)
    for size in (41, 1 << 40):
        found, where = compact(key, size)
        assert torch.equal(found, wanted)
        assert torch.equal(where, place)
