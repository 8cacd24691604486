"""Whatever stands in a configuration file, it loads or a `ConfigError` tells why in one line."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earshot_node.configuration.file import load_config
from earshot_node.configuration.schema import config_schema
from earshot_node.configuration.text import parse_config_text
from earshot_node.errors import ConfigError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
WORDS = sorted({key for part in (config_schema(), *config_schema()["$defs"].values()) for key in part["properties"]})
KEYS = st.sampled_from(WORDS) | st.text(max_size=6) | st.integers() | st.booleans()
VALUES = st.recursive(
    SCALARS | st.sampled_from(["microphone", "file", "url", "stdin", "siren", "hallway"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(list(config_schema()["properties"])) | KEYS, VALUES, max_size=5)


def refusal(path: Path) -> str:
    """Load a file that may be anything; return why not, or that it loads."""
    try:
        load_config(path, {})
    except ConfigError as error:
        return str(error)
    return "it loads"


def refusal_of_text(text: str) -> str:
    """The same for the YAML alone."""
    try:
        return f"node.yaml: {type(parse_config_text(text, 'node.yaml').values).__name__}"
    except ConfigError as error:
        return str(error)


@given(text=st.text(max_size=60) | st.text(alphabet="a:-[]{}&*!<>|?'\"# \n\t1", max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    said = refusal_of_text(text)
    assert said.startswith("node.yaml:")
    assert "\n" not in said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(document=DOCUMENTS)
def test_any_document_loads_or_is_refused(tmp_path: Path, document: dict[Any, Any]) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    said = refusal(path)
    assert said
    assert "\n" not in said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=80))
def test_any_bytes_load_or_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.yaml"
    path.write_bytes(content)
    said = refusal(path)
    assert said
    assert "\n" not in said
