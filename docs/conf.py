"""Sphinx: pages in MyST markdown, the API from docstrings, the command line from the program itself."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from torch_geometric_dsom import __version__  # noqa: E402

project = "torch_geometric_dsom"
author = "the torch_geometric_dsom maintainers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # formulas are shown without a network too
    "sphinx.ext.viewcode",
    "command_line",
    "public_names",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.strikethrough"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings tell types, shapes and units
autodoc_mock_imports: list[str] = []
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"torch-geometric-dsom {release}"
html_static_path: list[str] = []
html_theme_options = {"sidebar_hide_name": False}
