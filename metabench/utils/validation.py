"""pydantic's validation errors in the words of TOML."""

# Nothing here imports pydantic: `metabench --help` must be fast.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

NO_SUCH_KEY = "there is no such key"

_LONGEST = 80
_RIGHT = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "tuple": "an array",
    "list": "an array",
    "dict": "a table",
    "model": "a table",
    "path": "the path of a file or folder",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("greater than or equal to", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("less than or equal to", "le"),
}


def toml_text(value: Any) -> str:
    """Returns a value as TOML writes it, shortened if it is long.

    >>> toml_text([True, 1.5, "text"])
    "[true, 1.5, 'text']"
    """
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(toml_text, value))}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{key} = {toml_text(each)}' for key, each in value.items())}}}"
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def explain(
    details: Sequence[Mapping[str, Any]], content: Any, *, values: bool = True
) -> dict[Place, str]:
    """Returns what is wrong with each invalid value, in the order of the errors.

    Args:
        details: The errors, as ``ValidationError.errors()`` returns them.
        content: What was validated.
        values: Whether to show the invalid values.
    """
    errors: dict[Place, list[Mapping[str, Any]]] = {}
    for detail in details:
        errors.setdefault(_place(detail, content), []).append(detail)
    return {
        place: _say(found, value=values)
        for place, found in errors.items()
        if not _follows_from_others(place, found[0], errors)
    }


def _place(detail: Mapping[str, Any], content: Any) -> Place:
    place: list[str | int] = []
    for key in detail["loc"]:
        inside = isinstance(content, dict) and key in content
        inside |= isinstance(content, (list, tuple)) and isinstance(key, int) and key < len(content)
        if inside:
            place.append(key)
            content = content[key]
            continue
        # A union adds the member that it tried, such as "bool": that is no key of the file.
        if detail["type"] == "missing":
            place.append(key)
        break
    return tuple(place)


def _follows_from_others(
    place: Place, detail: Mapping[str, Any], others: Mapping[Place, Any]
) -> bool:
    # pydantic counts the valid items: with one invalid benchmark an array of one is "too short".
    return detail["type"] == "too_short" and any(
        len(other) > len(place) and other[: len(place)] == place for other in others
    )


def _say(details: Sequence[Mapping[str, Any]], *, value: bool) -> str:
    first = details[0]
    if first["type"] == "missing":
        return "it is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return NO_SUCH_KEY
    wrong = _say_union(details) if len(details) > 1 else _say_one(first)
    # A table would fill the screen.
    shown = value and not isinstance(first["input"], dict)
    return f"{wrong} (it is {toml_text(first['input'])})" if shown else wrong


def _say_union(details: Sequence[Mapping[str, Any]]) -> str:
    array = any(str(key).startswith("tuple[") for d in details for key in d["loc"])
    return f"it must be a finite number, text, true or false{', or an array of these' * array}"


def _say_one(detail: Mapping[str, Any]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"it must be {words} {context[bound]:g}"
    if kind == "too_short":
        least = context["min_length"]
        return f"it must have at least {least} item{'s' * (least != 1)}"
    if kind == "string_pattern_mismatch":
        return f"it must match {context['pattern']}"
    if kind == "string_too_long":
        return f"it must have at most {context['max_length']} characters"
    if kind == "literal_error":
        return f"it must be {context['expected']}"
    # int_type, int_parsing, int_from_float, ...: what follows is how it was tried.
    if (first := kind.split("_")[0]) in _RIGHT:
        return f"it must be {_RIGHT[first]}"
    message: str = detail["msg"]
    return f"{message[:1].lower()}{message[1:]}"
