import pytest

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.report import answers_page, explanation_page
from torch_geometric_dsom.trainer import explain


def test_an_explanation(trained, named_graph, gallery):
    told = explain(trained, named_graph, 1, 0, 2, k=2)
    page = explanation_page(told, gallery)
    for one in told.teachers:
        assert f"<td>{one.name}</td>" in page
        assert f"<td>{one.probability:.4f}</td>" in page
    assert page.count("data:image/png;base64,") >= 2  # head and tail have one each
    assert "What thing 1 is &amp; does" in page
    assert "<script" not in page
    assert f"rank {told.student.rank:g}, probability {told.student.probability:.4f}" in page
    assert "data:image/png" not in explanation_page(told)


def test_answers(trained, named_graph, gallery):
    answers = trained.predict(named_graph, tail="e4", relation="r1", k=5)
    page = answers_page(answers, named_graph, "r1", tail="e4", gallery=gallery)
    assert page.count('class="verdict ranked"') == 5
    assert f'<span class="num">{answers[0].probability:.3f}</span>' in page
    assert "What thing 4 is &amp; does" in page
    assert "<script" not in page
    assert "No answer that is not known already" in answers_page([], named_graph, "r1", head="e4")
    with pytest.raises(ConfigError, match="unknown name 'e99'"):
        answers_page(answers, named_graph, "r1", head="e99")
