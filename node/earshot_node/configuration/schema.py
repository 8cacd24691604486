"""The JSON Schema of a node's configuration: for editors, for did-you-mean, for names of environment variables."""

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from earshot_node.configuration.text import Location
from earshot_node.contract.config import NodeConfig

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@cache
def config_schema() -> dict[str, Any]:
    """Return the schema; `node` and its `id` are optional in a file, because the host's name stands in for them."""
    schema = NodeConfig.model_json_schema()
    schema["required"] = [key for key in schema["required"] if key != "node"]
    node = schema["$defs"]["NodeSection"]
    node["required"] = [key for key in node["required"] if key != "id"]
    if not node["required"]:
        del node["required"]
    return {"$schema": DIALECT, **schema}


def schema_at(location: Location, tags: dict[Location, str] | None = None) -> dict[str, Any] | None:
    """Return the schema of a location, None where anything or nothing goes.

    Args:
        location: keys and list positions from the top.
        tags: value of `type` of the mappings that come in several types.
    """
    schema: dict[str, Any] | None = config_schema()
    for depth, key in enumerate(location):
        if schema is None:
            return None
        if isinstance(key, int):
            schema = schema.get("items")
        else:
            schema = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or None
        schema = _resolve(schema, (tags or {}).get(location[: depth + 1])) if isinstance(schema, dict) else None
    return schema


def known_keys(location: Location, tags: dict[Location, str]) -> list[str]:
    """Return the keys that a mapping may have."""
    return list((schema_at(location, tags) or {}).get("properties", ()))


def environment_names() -> Iterator[tuple[str, Location]]:
    """Yield every variable that overrides a value outside the sources, and its location."""
    yield from _leaf_names(config_schema(), ())


def source_keys(source_type: str) -> list[str]:
    """Return the keys that a source of this type may have; empty for an unknown type."""
    mapping = config_schema()["properties"]["sources"]["items"]["discriminator"]["mapping"]
    return known_keys(("sources", 0), {("sources", 0): source_type}) if source_type in mapping else []


def closest(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for a likely typo, else an empty text."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def _leaf_names(schema: dict[str, Any], at: Location) -> Iterator[tuple[str, Location]]:
    for key, value in schema.get("properties", {}).items():
        location = (*at, key)
        inner = _resolve(value, None)
        if "properties" in inner:
            yield from _leaf_names(inner, location)
        elif location != ("sources",) and inner.get("type") != "object":
            yield "EARSHOT_" + "_".join(str(part) for part in location).upper(), location


def _resolve(schema: dict[str, Any], tag: str | None) -> dict[str, Any]:
    """Follow `$ref`, an optional's `anyOf`, and the discriminator's choice."""
    if "$ref" in schema:
        target: dict[str, Any] = config_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        return target
    if "discriminator" in schema:
        reference = schema["discriminator"]["mapping"].get(tag)
        return _resolve({"$ref": reference}, None) if reference else schema
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolve(choice, tag)
    return schema
