"""YAML with line numbers: values, where each of them stands, and no key twice."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from earshot_node.errors import ConfigError

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A parsed file.

    Attributes:
        path: the file's name, for messages.
        values: plain YAML types.
        lines: line number (from 1) of every key and list item, by its location.
    """

    path: str
    values: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """`file:line` of the location or of the nearest enclosing one that stands in the file."""
        for length in range(len(location), 0, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return self.path


def read_config_text(path: Path) -> ConfigText:
    """Read and parse a YAML file whose top is a mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: unreadable, no YAML, a key twice in one mapping, or no mapping at the top.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; config/node.yaml is an example to copy") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check owner and permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; is it a configuration file?") from error
    return parse_config_text(text, str(path))


def parse_config_text(text: str, path: str) -> ConfigText:
    """Parse YAML; see `read_config_text`."""
    lines: dict[Location, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return ConfigText(path, {})
        _walk(node, (), lines, path, frozenset())
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(f"{where}: not valid YAML: {error.problem}; check indentation and quotes") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines at the top, such as `sources:`")
    return ConfigText(path, values, lines)


def _walk(node: yaml.Node, at: Location, lines: dict[Location, int], path: str, above: frozenset[int]) -> None:
    """Record the lines below `node` and refuse a key that stands twice."""
    if id(node) in above:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: an alias contains itself")
    within = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.value)
            if key in seen and key != "<<":
                raise ConfigError(f"{path}:{line}: {key!r} stands here and in line {seen[key]}; keep one")
            seen[key] = line
            lines[(*at, key)] = line
            _walk(value_node, (*at, key), lines, path, within)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, index)] = item.start_mark.line + 1
            _walk(item, (*at, index), lines, path, within)
