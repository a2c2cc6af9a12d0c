"""Read a recipe file, and say what is wrong with one."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from metabench.plugins import OWN_DISTRIBUTION
from metabench.recipes.comparison import FORM
from metabench.recipes.model import Condition, Document, Recipe, RecipeFile, fault, place
from metabench.utils.toml_files import UnreadableFile, read_toml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# What would be right, by key; `entry` and `value` stand for one of their kind.
_RIGHT = {
    "kind": '"classification" or "regression"',
    "modality": '"image" or "vector"',
    "dataset": "the name of a data set, or a list of names",
    "ways": FORM,
    "shots": FORM,
    "budget": FORM,
    "name": "a name of letters, digits and '._+-', such as \"default\"",
    "source": 'text that says where the values come from, such as "paper: section 4.1"',
    "when": 'a table of conditions, such as { kind = "regression" }',
    "values": "a table of at least one hyper-parameter, such as { inner_lr = 0.1 }",
    "extends": "the name of another algorithm that has recipes",
    "recipe": "a list of tables, each under [[recipe]]",
    "entry": "a table with name, source, when and values",
    "value": "a finite number, text, true or false",
}


def read_recipes(path: Path, distribution: str = OWN_DISTRIBUTION) -> RecipeFile:
    """Read a recipe file.

    Args:
        path: a TOML file that is named as its algorithm.
        distribution: the distribution that brings it.

    Raises:
        ConfigError: If the file cannot be read, has an unknown key, lacks a key, or has a value of
            the wrong form. The message names the file, the entry and the key.
        PluginError: The same for the file of a plugin.
    """
    try:
        content = read_toml(path)
    except UnreadableFile as error:
        message = f"recipe file '{path}' cannot be read: {error.reason}."
        raise fault(distribution, message) from error
    try:
        return RecipeFile(path, Document.model_validate(content), distribution)
    except ValidationError as error:
        message, hint = _explain(path, content, error)
        raise fault(distribution, message, hint=hint) from error


def _explain(path: Path, content: dict[str, Any], error: ValidationError) -> tuple[str, str]:
    """Returns the message and the hint for the first thing that is wrong."""
    # One at a time: what else is wrong may follow from it.
    first = error.errors()[0]
    location = first["loc"]
    if len(location) < 2:  # a key of the file
        keys = [*map(str, location)]
        return _explain_key(f"recipe file '{path}'", keys, first, content, Document)
    index = int(location[1])  # ("recipe", 0, ...): messages count the entries from one
    entry = content["recipe"][index]
    name = entry.get("name") if isinstance(entry, dict) else None
    keys = [*map(str, location[2:])]
    # A union appends the member that it tried to the location: values.lr.bool, when.dataset.str.
    keys = keys[: 2 if keys[:1] in (["when"], ["values"]) else 1]
    schema = Condition if keys[:1] == ["when"] and len(keys) > 1 else Recipe
    return _explain_key(place(path, index + 1, name), keys, first, entry, schema)


def _explain_key(
    where: str, keys: list[str], first: ErrorDetails, table: Any, schema: type[BaseModel]
) -> tuple[str, str]:
    if not keys:
        return f"{where} is {table!r}.", f"Right is {_RIGHT['entry']}."
    key, last = ".".join(keys), keys[-1]
    if first["type"] == "extra_forbidden":
        known = list(schema.model_fields)
        close = difflib.get_close_matches(last, known, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        return f"{where}: unknown key '{key}'.{guess}", f"Known: {', '.join(known)}."
    if first["type"] == "missing":
        return f"{where}: '{key}' is missing.", f"Right is {_RIGHT[last]}."
    value = functools.reduce(lambda found, each: found[each], keys, table)
    of_values = keys[0] == "values" and len(keys) > 1
    hint = f"Right is {_RIGHT['value'] if of_values else _RIGHT[last]}."
    if first["type"] == "value_error":
        hint = f"{first['ctx']['error']} {hint}"
    return f"{where}: {key} = {value!r} is not valid.", hint
