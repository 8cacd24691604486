"""A node's configuration from its file, the environment and flags.

Precedence: defaults, then the file, then the environment, then flags. Every mistake becomes one line that names the
place, the key and what was expected.
"""

import copy
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from earshot_node.configuration.problems import ConfigProblemsError, describe_problems
from earshot_node.configuration.schema import closest, environment_names, schema_at, source_keys
from earshot_node.configuration.text import ConfigText, Location, read_config_text
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.names import slugify
from earshot_node.errors import ConfigError

MASK: Final = "********"
_PATHS: Final[tuple[Location, ...]] = (
    ("node", "state_dir"),
    ("model", "bundle"),
    ("mqtt", "password_file"),
    ("mqtt", "tls", "ca_file"),
    ("mqtt", "tls", "cert_file"),
    ("mqtt", "tls", "key_file"),
    ("http", "certificate_file"),
    ("http", "key_file"),
    ("clips", "dir"),
    ("recordings", "dir"),
    ("recordings", "labels_file"),
)


def load_config(
    path: Path,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> NodeConfig:
    """Load and check a configuration.

    Args:
        path: a YAML file; relative paths in it are relative to its folder.
        environ: variables such as `EARSHOT_MQTT_HOST`; default: the process's.
        overrides: values of flags by dotted key, such as `{"mqtt.host": "broker.lan"}`.

    Raises:
        ConfigError: one line with place, key and expectation; a `ConfigProblemsError` lists all of them.
    """
    text = read_config_text(path)
    values = copy.deepcopy(text.values)
    places: dict[Location, str] = {}
    _apply_environment(values, places, os.environ if environ is None else environ)
    for dotted, value in (overrides or {}).items():
        location = tuple(dotted.split("."))
        _put(values, location, value)
        places[location] = "command line"
    _name_node(values)
    _resolve_paths(values, path.resolve().parent)
    try:
        config = NodeConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigProblemsError(describe_problems(error, values, lambda at: _where(at, text, places))) from error
    _check_password_file(config, text)
    return config


def state_folder(config: NodeConfig, environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder for queue, settings and clips: `node.state_dir`, systemd's, or one below the home folder."""
    if config.node.state_dir:
        return Path(config.node.state_dir)
    variables = os.environ if environ is None else environ
    systemd = variables.get("STATE_DIRECTORY", "").split(":")[0]
    if systemd:
        return Path(systemd)
    base = variables.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "earshot"


def check_labels(config: NodeConfig, model_labels: Sequence[str], path: Path | None = None) -> None:
    """Refuse labels that the model does not know; `path` lets the message name the line.

    Raises:
        ConfigError: names the label and what the model hears.
    """
    known = ", ".join(model_labels)
    wanted: list[tuple[Location, str]] = [(("labels", index), label) for index, label in enumerate(config.labels)]
    wanted += [(("detection", "operating_points", label), label) for label in config.detection.operating_points]
    for location, label in wanted:
        if label not in model_labels:
            where = f"{read_config_text(path).where(location)}: " if path else ""
            hint = closest(label, model_labels)
            raise ConfigError(f"{where}{location[0]}: the model does not know {label!r}, it hears {known}{hint}")


def masked_yaml(config: NodeConfig) -> str:
    """Return the effective configuration as YAML, secrets masked."""
    return str(yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=100))


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Turn `mqtt.host=broker.lan` flags into overrides.

    Raises:
        ConfigError: no `=`, or an unknown key.
    """
    overrides: dict[str, object] = {}
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        location = tuple(dotted.strip().split("."))
        if not equals:
            raise ConfigError(f"--set {assignment}: expected key=value, such as mqtt.host=broker.lan")
        overrides[".".join(location)] = _typed(text, location)
    return overrides


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return {key: _plain(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _apply_environment(values: dict[str, Any], places: dict[Location, str], environ: Mapping[str, str]) -> None:
    """Put `EARSHOT_<SECTION>_<KEY>` and `EARSHOT_SOURCE_<ID>_<KEY>` over the file's values; empty ones do not count."""
    names = dict(environment_names()) | _source_names(values)
    sections = ("EARSHOT_SOURCE_", *{f"EARSHOT_{at[0]}_".upper() for at in names.values() if len(at) > 1})
    for name, text in environ.items():
        if not name.startswith("EARSHOT_") or not text:
            continue
        location = names.get(name)
        if location is not None:
            _put(values, location, _typed(text, location))
            places[location] = f"environment variable {name}"
        elif name.startswith(sections):
            raise ConfigError(f"environment variable {name}: no such setting{closest(name, names)}")


def _source_names(values: dict[str, Any]) -> dict[str, Location]:
    names: dict[str, Location] = {}
    sources = values.get("sources")
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        if isinstance(source, dict) and isinstance(source.get("id"), str):
            stem = "EARSHOT_SOURCE_" + source["id"].upper().replace("-", "_")
            for key in source_keys(str(source.get("type"))):
                if key not in ("id", "type"):
                    names[f"{stem}_{key.upper()}"] = ("sources", index, key)
    return names


def _typed(text: str, location: Location) -> object:
    """Read a variable's or flag's text as the key's type; a text stays as it is, also when it looks like a number."""
    schema = schema_at(location) or {}
    if schema.get("type") == "array" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if schema.get("type") in ("string", None) or "enum" in schema:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # the model will say what it expected


def _put(values: dict[str, Any], location: Location, value: object) -> None:
    target: Any = values
    for part in location[:-1]:
        if isinstance(part, int):
            target = target[part]
            continue
        if not isinstance(target.get(part), dict | list):
            target[part] = {}
        target = target[part]
    target[location[-1]] = value


def _name_node(values: dict[str, Any]) -> None:
    """Give a node without id the host's name."""
    node = values["node"] if values.get("node") is not None else {}
    if isinstance(node, dict):
        node.setdefault("id", slugify(socket.gethostname().partition(".")[0]))
    values["node"] = node


def _resolve_paths(values: dict[str, Any], folder: Path) -> None:
    """Make relative paths absolute: they are meant from the configuration's folder; `~` is the home folder."""
    for *sections, key in _PATHS:
        target: Any = values
        for section in sections:
            target = target.get(section) if isinstance(target, dict) else None
        _resolve_path(target, key, folder)
    sources = values.get("sources")
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and source.get("type") == "file":
            _resolve_path(source, "path", folder)


def _resolve_path(section: Any, key: str | int, folder: Path) -> None:
    if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
        section[key] = str(folder / Path(section[key]).expanduser())


def _where(location: Location, text: ConfigText, places: dict[Location, str]) -> str:
    for length in range(len(location), 0, -1):
        if location[:length] in places:
            return places[location[:length]]
    return text.where(location)


def _check_password_file(config: NodeConfig, text: ConfigText) -> None:
    """Say at once what would only be said at the first connection, when nobody is looking any more."""
    mqtt = config.mqtt
    if not mqtt.password_file:
        return
    where = text.where(("mqtt", "password_file"))
    if mqtt.password.get_secret_value():
        raise ConfigError(f"{where}: mqtt.password_file: a password is given as well; keep one of them")
    try:
        Path(mqtt.password_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(
            f"{where}: mqtt.password_file: cannot read {mqtt.password_file} ({reason}); check path and permissions"
        ) from error
