"""From pydantic's errors to lines for people: file, line, key and what was expected."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from earshot_node.configuration.schema import closest, known_keys, schema_at
from earshot_node.configuration.text import Location
from earshot_node.errors import ConfigError


class ConfigProblemsError(ConfigError):
    """A configuration has one or more wrong values; `problems` holds one line for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        more = len(problems) - 1
        super().__init__(problems[0] + (f" ({more} more; `node-cli config check FILE` lists all)" if more else ""))
        self.problems = problems


def describe_problems(
    error: ValidationError, values: dict[str, Any], where: Callable[[Location], str]
) -> tuple[str, ...]:
    """Return one line per error.

    Args:
        error: what the models said.
        values: the values that were given.
        where: names the place (`file:line`, an environment variable) of a location.
    """
    tags = _tags(values)
    found = [(_location_in_file(details, values), details) for details in error.errors(include_url=False)]
    lines = []
    for location, details in found:
        if details["type"] == "too_short" and any(_is_below(at, location) for at, _ in found):
            continue  # its items were refused and are missing now; that was said already
        text = _describe(details, location, tags)
        key = _key(location)
        lines.append(f"{where(location)}: {key}: {text}" if key else f"{where(location)}: {text}")
    return tuple(dict.fromkeys(lines))


def _describe(details: ErrorDetails, location: Location, tags: dict[Location, str]) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = known_keys(location[:-1], tags)
            hint = closest(str(location[-1]), known) or f"; known are {', '.join(known)}"
            return f"unknown key{hint}"
        case "missing":
            return f"is missing{_example(location, tags)}"
        case "union_tag_not_found":
            return "needs a `type`: microphone, file, url or stdin"
        case "union_tag_invalid":
            expected = context["expected_tags"].replace("'", "")
            hint = closest(context["tag"], expected.split(", "))
            return f"type {context['tag']!r} is unknown, expected {expected}{hint}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            found = details["input"]
            words = (schema_at(location, tags) or {}).get("enum", ())
            return f"expected {context['expected']}, found {_shown(found)}{closest(str(found), words)}"
        case "string_type":
            return f"expected a text, found {_shown(details['input'])}; put it in quotes if it is one"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"expected `key: value` lines, found {_shown(details['input'])}"
        case "too_short" if location == ("sources",):
            return "list at least one source, such as `- {id: hallway, type: microphone}`"
    return _plain(details["msg"]) + _found(details["input"], location, tags)


def _is_below(location: Location, above: Location) -> bool:
    return len(location) > len(above) and location[: len(above)] == above


def _plain(message: str) -> str:
    for prefix in ("Input should be ", "Value should "):
        if message.startswith(prefix):
            return "expected " + message.removeprefix(prefix).partition(", unable to parse")[0]
    return message[0].lower() + message[1:]


def _found(value: object, location: Location, tags: dict[Location, str]) -> str:
    if (schema_at(location, tags) or {}).get("writeOnly"):
        return ""  # a password is not shown, not even a wrong one
    return f", found {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return "a list" if isinstance(value, list | tuple) else "`key: value` lines"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _example(location: Location, tags: dict[Location, str]) -> str:
    if location == ("sources",):
        return "; list what to listen to, such as `sources: [{id: hallway, type: microphone}]`"
    description = (schema_at(location, tags) or {}).get("description")
    return f"; {description}" if description else ""


def _key(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _tags(values: dict[str, Any]) -> dict[Location, str]:
    sources = values.get("sources")
    if not isinstance(sources, list):
        return {}
    return {
        ("sources", index): str(source["type"])
        for index, source in enumerate(sources)
        if isinstance(source, dict) and "type" in source
    }


def _location_in_file(details: ErrorDetails, values: dict[str, Any]) -> Location:
    """Drop what pydantic adds: a source's type between its position and its keys, `[key]` after a wrong key."""
    loc = details["loc"]
    if len(loc) > 2 and loc[0] == "sources" and isinstance(loc[1], int):
        source = values["sources"][loc[1]]
        if isinstance(source, dict) and source.get("type") == loc[2]:
            return (*loc[:2], *loc[3:])
    if loc and loc[-1] == "[key]" and details["type"] != "extra_forbidden":
        return loc[:-1]
    return loc
