"""The configuration of a run on the command line: layers over the library's defaults, checked name by name."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import yaml

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.config import update


class Layer(NamedTuple):
    """Values of one source.

    Args:
        source (str): What to call it.
        values (dict): Values by name; ``student_fit`` and ``teacher_fit`` hold values of their own.
        lines (dict): Where a name with dots stands, where the source is a file.
    """

    source: str
    values: Mapping[str, Any]
    lines: Mapping[str, int] = {}


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on.

    Args:
        dataset (str): Name of the dataset, or a folder. (default: :obj:`"EmojiWorld"`)
        root (str, optional): Where the dataset's files are kept.
        seed (int): Seed of everything that is drawn. (default: :obj:`0`)
        compare (bool): Whether the CE-only student is trained as well. (default: :obj:`False`)
        image_encoder (str, optional): Name of the encoder of pictures.
        text_encoder (str, optional): Name of the encoder of texts.
        image_features (str, optional): File of published features of pictures.
        text_features (str, optional): File of published features of texts.
        taught_by (list[str]): Run folders whose students are the teachers. (default: none, teachers are trained)
        options (DSoMConfig): That of the trainer.
        sources (dict): Where each value comes from that is not the library's default, by name with dots.
    """

    dataset: str = "EmojiWorld"
    root: str | None = None
    seed: int = 0
    compare: bool = False
    image_encoder: str | None = None
    text_encoder: str | None = None
    image_features: str | None = None
    text_features: str | None = None
    taught_by: list[str] = field(default_factory=list)
    options: DSoMConfig = field(default_factory=DSoMConfig)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All values in one level, as a file for ``--config`` holds them."""
        return {**{name: getattr(self, name) for name in OWN}, **self.options.to_dict()}

    @property
    def graph(self) -> dict[str, Any]:
        """The arguments of :func:`~torch_geometric_dsom.datasets.load_dataset`."""
        names = ("root", "image_encoder", "text_encoder", "image_features", "text_features")
        return {"name": self.dataset, **{name: getattr(self, name) for name in names}}

    def chosen(self) -> dict[str, tuple[Any, str]]:
        """Value and source of what is not the library's default, by name with dots."""
        values, defaults = flat(self.to_dict()), flat(RunConfig().to_dict())
        return {name: (value, self.sources[name]) for name, value in values.items() if value != defaults[name]}


OWN = tuple(item.name for item in fields(RunConfig) if item.name not in ("options", "sources"))


def resolve(layers: Sequence[Layer]) -> RunConfig:
    """Lays values over the library's defaults, the last layer on top.

    Args:
        layers (list[Layer]): From the bottom up.

    Raises:
        ConfigError: If a name is unknown or a value cannot be used; names the file and line where there is one.

    Example:
        >>> config = resolve([Layer("file", {"rank": 8, "seed": 1}), Layer("flag", {"rank": 4})])
        >>> config.options.rank, config.seed, config.sources
        (4, 1, {'rank': 'flag', 'seed': 'file'})
    """
    config = RunConfig()
    for layer in layers:
        config = _lay(config, layer)
    return config


def read_file(path: str | os.PathLike[str]) -> Layer:
    """Reads a configuration, YAML or JSON by the ending of its name.

    Args:
        path (str or Path): The file.

    Raises:
        ConfigError: If it cannot be read; names file and line.
    """
    path = Path(path)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ConfigError(f"--config: expected a file that ends in .yaml, .yml or .json, got '{path}'")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config: '{path}' cannot be read ({error})") from error
    try:
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        lines = _lines(path, yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        raise ConfigError(f"{path}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:1: expected names with values, got {type(values).__name__}")
    return Layer(str(path), _numbers(values), lines)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Reads ``name=value`` and ``part.name=value``; values are JSON, or text where they are no JSON.

    Args:
        pairs (list[str]): What was given.

    Returns:
        dict: Options by name, nested where a name has a dot.

    Raises:
        ConfigError: If a pair has no ``=``.

    Example:
        >>> parse_options(["rank=8", "student_fit.lr=0.1", "neighbors=none"])
        {'rank': 8, 'student_fit': {'lr': 0.1}, 'neighbors': 'none'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set: expected name=value, got '{pair}'")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        place = options
        *parts, last = name.split(".")
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set: '{part}' was given a value already, got '{pair}'")
        place[last] = value
    return options


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under names with dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _lay(config: RunConfig, layer: Layer) -> RunConfig:
    try:
        return _checked(config, layer)
    except ConfigError as error:
        raise _placed(error, layer) from error


def _checked(config: RunConfig, layer: Layer) -> RunConfig:
    known = [*OWN, *(item.name for item in fields(DSoMConfig))]
    types = get_type_hints(RunConfig)
    own: dict[str, Any] = {}
    for name, value in layer.values.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; known: {sorted(known)}"
            raise ConfigError(f"{name}: unknown option{hint}")
        if name in OWN:
            expected = _unlike(types[name], value)
            if expected:
                raise ConfigError(f"{name}: expected {expected}, got {type(value).__name__} {value!r}")
            own[name] = value
    options = {name: value for name, value in layer.values.items() if name not in OWN}
    sources = {**config.sources, **dict.fromkeys(flat(layer.values), layer.source)}
    return replace(config, **own, options=update(config.options, options), sources=sources)


def _unlike(kind: Any, value: object) -> str:
    """What was expected instead of a value; nothing where it is as expected."""
    kinds = get_args(kind) or (kind,)
    told = " or ".join("None" if one is type(None) else one.__name__ for one in kinds)
    if get_origin(kind) is list:
        return "" if isinstance(value, list) and all(type(one) in kinds for one in value) else f"list of {told}"
    return "" if type(value) in kinds else told


def _placed(error: ConfigError, layer: Layer) -> ConfigError:
    """The error with file and line, where its name stands in a file."""
    if not layer.lines:
        return error
    name = str(error).partition(":")[0]
    found = [line for known, line in layer.lines.items() if known == name or known.endswith(f".{name}")]
    return ConfigError(f"{layer.source}:{found[0]}: {error}" if found else f"{layer.source}: {error}")


def _lines(path: Path, node: yaml.Node | None, prefix: str = "") -> dict[str, int]:
    """The line of each name of a file; a name that is there twice is refused."""
    found: dict[str, int] = {}
    if not isinstance(node, yaml.MappingNode):
        return found
    for key, value in node.value:
        name, line = f"{prefix}{key.value}", key.start_mark.line + 1
        if name in found:
            raise ConfigError(f"{path}:{line}: '{name}' is there twice, first in line {found[name]}")
        found[name] = line
        found |= _lines(path, value, f"{name}.")
    return found


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """YAML takes ``1e-3`` for text: what JSON reads as a number becomes one, but for names and paths."""
    read = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = _numbers(value)
        elif isinstance(value, str) and name not in OWN and re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", value):
            value = float(value)
        read[name] = value
    return read
