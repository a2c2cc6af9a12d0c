"""Command-line options that are derived from the settings in :mod:`metabench.config`."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from metabench.config import Option

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(cls: type[Any], *names: str) -> Callable[[F], F]:
    """Returns a decorator that adds options for the fields of a settings class.

    Args:
        cls: The settings class.
        names: The fields; by default all.
    """
    hints = typing.get_type_hints(cls, include_extras=True)

    def decorate(command: F) -> F:
        for setting in reversed(fields(cls)):  # decorators apply from the bottom up
            if setting.name in (names or hints):
                command = _option(setting, hints[setting.name])(command)
        return command

    return decorate


def given_settings(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that the user gave on the command line, parsed.

    Args:
        cls: The settings class.
        values: The values of all options, by name.

    Raises:
        UsageError: If the text of an option cannot be parsed.
    """
    # An option that was given its default value counts as given: it overrides the file.
    context = click.get_current_context()
    hints = typing.get_type_hints(cls, include_extras=True)
    given = {}
    for setting in fields(cls):
        if context.get_parameter_source(setting.name) is not ParameterSource.DEFAULT:
            _, option = _parts(hints[setting.name])
            value = values[setting.name]
            given[setting.name] = value if option.parse is None else option.parse(value)
    return given


def _option(setting: Field[Any], hint: Any) -> Callable[[F], F]:
    kind, option = _parts(hint)
    flags = [
        f"--{setting.name.replace('_', '-')}",
        setting.name,
        *([option.short] if option.short else []),
    ]
    attributes: dict[str, Any] = {"help": option.help, "metavar": option.metavar or None}
    if option.env:
        attributes["envvar"] = option.env
    if kind is bool:
        attributes |= {"is_flag": True}
    elif typing.get_origin(kind) is dict or _is_repeatable(kind, option):
        attributes |= {"multiple": True}
    else:
        attributes |= {"type": _click_type(kind, option)}
        if setting.default not in (MISSING, None, "") and option.parse is None:
            attributes |= {"default": setting.default, "show_default": True}
    return click.option(*flags, **attributes)


def _parts(hint: Any) -> tuple[Any, Option]:
    """Returns the type of a setting, without ``None``, and its option."""
    kind, option = typing.get_args(hint)
    if typing.get_origin(kind) is types.UnionType:
        (kind,) = (t for t in typing.get_args(kind) if t is not type(None))
    return kind, option


def _is_repeatable(kind: Any, option: Option) -> bool:
    """Whether each value has an option of its own; with a parser, one text holds all of them."""
    return typing.get_origin(kind) is tuple and option.parse is None


def _click_type(kind: Any, option: Option) -> Any:
    if kind is Path:
        return click.Path(path_type=Path)
    if kind not in (int, float):
        return str
    least = option.ge if option.ge is not None else option.gt
    number = click.IntRange if kind is int else click.FloatRange
    return number(min=least, min_open=option.gt is not None)
