import pytest

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import breakdown, evaluate
from torch_geometric_dsom.plots import plot_breakdown, plot_degree


def test_bars_are_the_buckets(trained, small_graph):
    results = {
        name: evaluate(scorer, small_graph) for name, scorer in (("a", trained.student), ("b", trained.baseline))
    }
    axes = plot_degree(results, small_graph, "target_degree").axes[0]
    parts = {name: breakdown(result, small_graph, "target_degree") for name, result in results.items()}
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [[bucket.result.mrr for bucket in part.buckets] for part in parts.values()]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == [f"{bucket.name}\n({bucket.result.count})" for bucket in parts["a"].buckets]
    assert axes.get_xlabel() == "training facts of the answer"


def test_what_is_not_cut_alike_is_refused(trained, small_graph):
    result = evaluate(trained.student, small_graph)
    parts = {by: breakdown(result, small_graph, by) for by in ("relation", "query_degree")}
    with pytest.raises(ConfigError, match="cut alike, got 2 different ones"):
        plot_breakdown(parts)
    with pytest.raises(ConfigError, match="by: expected .* got 'relation'"):
        plot_degree({"a": result}, small_graph, "relation")
