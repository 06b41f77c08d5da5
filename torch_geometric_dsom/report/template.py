"""From a template of this folder to one file: styles inside, pictures as data."""

from __future__ import annotations

import base64
import functools
import os
from pathlib import Path
from typing import Any

from torch_geometric_dsom.datasets import Gallery
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.optional import require


def render(template: str, gallery: Gallery | None = None, **values: Any) -> str:
    """A page as one file that asks the network for nothing.

    Args:
        template (str): Name of the template.
        gallery (Gallery, optional): Pictures of entities, which the template gets by ``picture(row)``.
        **values: What the template shows; text is escaped.

    Returns:
        str: The page.

    Raises:
        MissingPackageError: If jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="report", user="report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("torch_geometric_dsom.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "sig": significant}

    @functools.cache
    def picture(row: int | None) -> str:
        png = None if gallery is None or row is None else gallery.png(row)
        return "" if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"

    page: str = environment.get_template(template).render(picture=picture, **values)
    return page


def write_page(path: str | os.PathLike[str], page: str) -> Path:
    """Writes a page to a file, as a whole or not at all.

    Raises:
        ConfigError: If it cannot be written.
    """
    target = Path(path)
    fresh = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(page, encoding="utf-8")
        fresh.replace(target)
    except OSError as error:
        raise ConfigError(f"'{target}' cannot be written ({error})") from error
    return target


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent.

    Example:
        >>> percent(0.1234), percent(None)
        ('12.3 %', '')
    """
    return "" if share is None or share != share else f"{100 * share:.{digits}f} %"


def significant(value: float) -> str:
    """A rank: whole where it is.

    Example:
        >>> significant(3.0), significant(2.5), significant(1234.0)
        ('3', '2.5', '1,234')
    """
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
