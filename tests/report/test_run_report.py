import json
import re

import pytest

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import paired_bootstrap
from torch_geometric_dsom.report import RunReport, make_report
from torch_geometric_dsom.report.run_report import current_environment
from torch_geometric_dsom.trainer import compare


def test_its_numbers_are_those_of_the_functions(made, trained, named_graph):
    assert isinstance(made, RunReport)
    comparison = compare(trained, named_graph)
    assert made.comparison.to_dict() == comparison.to_dict()
    student, baseline = comparison.rows[-1].result, comparison.rows[-2].result
    assert made.gain == paired_bootstrap(student.ranks, baseline.ranks)
    assert made.shares.to_dict() == trained.selection(named_graph, "val").to_dict()
    assert set(made.parts["relation"]) == {"CE-only student", "DSoM student"}
    fits = {f"{part}.{name}" for part in ("student_fit", "teacher_fit") for name in ("epochs", "batch_size")}
    assert fits | {"rank", "teacher_hidden"} <= made.changed
    assert not {"gamma", "alpha", "student_fit.lr"} & made.changed
    json.loads(json.dumps(made.to_dict()))


def test_the_page_tells_them(made, report_page):
    page = report_page
    for row in made.comparison.rows:
        assert f"<td>{row.name}</td><td>{row.result.mrr:.4f}</td>" in page
    assert f"{made.gain.difference:+.4f}" in page
    for heading in ("Results", "Training", "Whom the student learns from", "Where it helps", "Configuration"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == len(made.figures()) == 8
    assert "data:image/png;base64," in page
    assert "a machine" in page
    assert "<code>rank=8</code>" in page


def test_nothing_of_it_asks_the_network(report_page):
    page = report_page
    for address in re.findall(r"""(?:src|href)=["']([^"']*)["']""", page):
        assert address.startswith(("data:", "#")), address
    assert "url(http" not in page
    assert "@import" not in page


def test_names_are_escaped(report_page):
    page = report_page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "A &lt;b&gt;graph&lt;/b&gt;" in page


def test_without_ce_only_student_pictures_and_held_out_facts(trained, small_graph, small_options):
    data = small_graph.clone()
    del data.val_edge_index, data.val_edge_type, data.entity_labels, data.entity_ids
    trainer = DSoMTrainer(seed=1, progress=False, teachers=trained.teachers, **small_options)
    trainer.fit_student(data, epochs=1)
    report = make_report(trainer, data)
    assert report.gain is None
    assert report.baseline is None
    assert report.shares_split == "train"
    page = report.to_html()
    assert "train with <code>--compare</code>" in page
    assert "data:image/png" not in page
    assert "curves" not in report.figures()


def test_a_trainer_that_is_not_trained_is_refused(small_graph):
    with pytest.raises(ConfigError, match="expected one that is trained"):
        make_report(DSoMTrainer(), small_graph)


def test_where_we_are():
    assert {"torch", "python", "system"} <= set(current_environment())
