from torch_geometric_dsom.evaluation import evaluate
from torch_geometric_dsom.trainer import Comparison, compare


def test_the_table_holds_every_scorer_and_its_share(trained, small_graph):
    table = compare(trained, small_graph)
    assert isinstance(table, Comparison)
    names = [row.name for row in table.rows]
    teachers = [f"teacher: {name}" for name in trained.teachers]
    assert names == [*teachers, "CE-only student", "DSoM student"]
    last = [record for record in trained.history if record["phase"] == "student"][-1]
    for row, (name, teacher) in zip(table.rows, trained.teachers.items(), strict=False):
        assert row.share == last[f"select/{name}"]
        assert row.result.mrr == evaluate(teacher, small_graph).mrr
    assert table.none_share == last["select/none"]
    assert table.rows[-1].result.mrr == trained.evaluate(small_graph).mrr


def test_as_text_and_as_dictionary(trained, small_graph):
    table = compare(trained, small_graph, split="val")
    student = table.to_dict()["rows"]["DSoM student"]["metrics"]["both"]
    line = next(line for line in str(table).splitlines() if line.startswith("DSoM student"))
    assert line.split()[2:] == [f"{student[name]:.4f}" for name in ("mrr", "hits@1", "hits@3", "hits@10")]
    assert str(table).startswith("val")
