import io

import pytest
from PIL import Image

from torch_geometric_dsom.datasets import Gallery
from torch_geometric_dsom.report import make_report


def _png(row):
    out = io.BytesIO()
    Image.new("RGB", (200, 100), (4 * row, 255 - 4 * row, 90)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def gallery():
    """Pictures of the entities of the small graph that have one."""
    return Gallery({row: lambda row=row: _png(row) for row in range(60) if row % 3})


@pytest.fixture(scope="session")
def named_graph(small_graph):
    """The small graph with texts, and a label that would be a danger if it were not escaped."""
    data = small_graph.clone()
    data.entity_texts = [f"What thing {i} is & does" for i in range(60)]
    data.entity_labels = [f"<script>document.title='{i}'</script> thing {i}" for i in range(60)]
    data.relation_labels = ["leads to the next kind, however long the label of that relation may be", "b & c", "d"]
    return data


@pytest.fixture(scope="session")
def made(trained, named_graph):
    """The report of the trained trainer on it."""
    return make_report(trained, named_graph, "A <b>graph</b>", environment={"python": "3.11", "system": "a machine"})


@pytest.fixture(scope="session")
def report_page(made, gallery):
    """That report as a page."""
    return made.to_html(gallery)
