"""How well scorers rank, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch_geometric.data import Data

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.evaluation import Breakdown, RankingResult, breakdown
from torch_geometric_dsom.plots.figure import colour, legend, new_figure

TITLES = {
    "query_degree": "training facts of the query entity",
    "target_degree": "training facts of the answer",
    "query_modalities": "what the query entity has",
    "target_modalities": "what the answer has",
    "relation": "relation",
}


def plot_breakdown(parts: Mapping[str, Breakdown]) -> Any:
    """MRR of each bucket, a bar a scorer; under each bucket its number of queries.

    Args:
        parts (dict[str, Breakdown]): Of each scorer by its name, all cut alike.

    Returns:
        matplotlib.figure.Figure: The figure.

    Raises:
        ConfigError: If there is no scorer, or they are not cut alike.
        MissingPackageError: If matplotlib is not installed.
    """
    cuts = {(part.by, *((bucket.name, bucket.result.count) for bucket in part.buckets)) for part in parts.values()}
    if len(cuts) != 1:
        raise ConfigError(f"parts: expected breakdowns that are cut alike, got {len(cuts)} different ones")
    first = next(iter(parts.values()))
    figure, axes = new_figure("plot_breakdown")
    width = 0.8 / len(parts)
    for number, (name, part) in enumerate(parts.items()):
        places = [place + (number - (len(parts) - 1) / 2) * width for place in range(len(part.buckets))]
        values = [bucket.result.mrr for bucket in part.buckets]
        axes.bar(places, values, width * 0.92, label=name, color=colour(name, number))
    names = [f"{bucket.name.replace(' + ', chr(10) + '+ ')}\n({bucket.result.count:,})" for bucket in first.buckets]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(TITLES.get(first.by, first.by))
    axes.set_ylabel("MRR")
    axes.margins(y=0.2)
    legend(axes, ncols=len(parts), loc="upper center")
    return figure


def plot_degree(results: Mapping[str, RankingResult], data: Data, by: str = "query_degree", split: str = "test") -> Any:
    """MRR by the number of training facts of an entity, a bar a scorer.

    Args:
        results (dict[str, RankingResult]): Of each scorer by its name, on the same split.
        data (Data): The graph.
        by (str): ``"query_degree"`` or ``"target_degree"``. (default: :obj:`"query_degree"`)
        split (str): The split. (default: :obj:`"test"`)

    Returns:
        matplotlib.figure.Figure: The figure.

    Raises:
        ConfigError: If :obj:`by` is something else, or there is no result.
        DataError: If there are not as many ranks as facts.
        MissingPackageError: If matplotlib is not installed.
    """
    if by not in ("query_degree", "target_degree"):
        raise ConfigError(f"by: expected 'query_degree' or 'target_degree', got '{by}'")
    return plot_breakdown({name: breakdown(result, data, by, split) for name, result in results.items()})
