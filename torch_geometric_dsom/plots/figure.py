"""What all figures share: colours by name, quiet axes, SVG that takes the colours of its page."""

from __future__ import annotations

import io
import re
from typing import Any

from torch_geometric_dsom.optional import require

# Told apart by who does not see all colours (after Okabe and Ito), on light and on dark ground.
COLOURS = {
    "student": "#d55e00",
    "DSoM student": "#d55e00",
    "ce_only": "#8c8c8c",
    "CE-only student": "#8c8c8c",
    "structure": "#0072b2",
    "image": "#009e73",
    "text": "#cc79a7",
    "fused": "#b8860b",
    "none": "#777777",
}
OTHERS = ("#56b4e9", "#7b68c8", "#a0522d", "#2f8f8f", "#b03060", "#6b8e23")
INK = "#20262e"  # text and lines of a figure; on a page they take the page's colour
WIDTH = 4.4  # inches, so that the text can still be read on a phone


def new_figure(user: str, height: float = 3.0, width: float = WIDTH) -> tuple[Any, Any]:
    """A figure with one pair of axes.

    Args:
        user (str): Who wants it, for the message where matplotlib is missing.
        height (float): Inches. (default: :obj:`3.0`)
        width (float): Inches. (default: :obj:`4.4`)

    Returns:
        tuple[Figure, Axes]: Without pyplot, and so without a global state.

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    module = require("matplotlib.figure", extra="plot", user=user)
    figure = module.Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(INK)
    return figure, axes


def legend(axes: Any, **options: Any) -> None:
    """A legend without a frame."""
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, **options)


def colour(name: str, number: int = 0) -> str:
    """The colour of a teacher or student; the same in every figure.

    Args:
        name (str): Its name.
        number (int): Its place among those whose names have no colour of their own. (default: :obj:`0`)

    Example:
        >>> colour("teacher/image") == colour("image"), colour("sound", 1)
        (True, '#7b68c8')
    """
    return COLOURS.get(name.rsplit("/", 1)[-1], OTHERS[number % len(OTHERS)])


def to_svg(figure: Any) -> str:
    """A figure as SVG to be put into a page: text stays text, ink takes the page's colour.

    Args:
        figure (Figure): The figure.

    Returns:
        str: The element ``<svg>``.
    """
    matplotlib = require("matplotlib", extra="plot", user="to_svg")
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "dsom"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    svg = text[text.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    size = re.match(r'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    width = f"{4 / 3 * float(size.group(1)):.0f}px" if size else "100%"
    return svg.replace("<svg ", f'<svg role="img" style="width:100%;max-width:{width};height:auto" ', 1)
