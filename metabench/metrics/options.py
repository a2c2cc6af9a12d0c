"""The options of metrics: read off their constructors, checked before anything is run."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from metabench.errors import ConfigError
from metabench.metrics.base import Metric
from metabench.registry import Spec

_PLAIN = (bool, int, float, str, tuple, list, type(None))
_EXACT = ConfigDict(strict=False, allow_inf_nan=False)


def make_metric(spec: Spec, options: Mapping[str, Any]) -> Metric:
    """A metric with its options.

    Args:
        spec: the metric's.
        options: values by name, as :func:`check_options` permits them.

    Raises:
        ConfigError: it has no such option, or the value is not of the option's type.
        PluginError: it cannot be imported.
    """
    metric: Metric = spec.load()(**check_options(spec, options))
    return metric


def check_options(spec: Spec, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a metric as values of the types that its constructor asks for.

    A list becomes a tuple where that is asked for, and a whole number a float.

    Args:
        spec: the metric's.
        options: values by name.

    Raises:
        ConfigError: it has no such option, or the value is not of the option's type.
        PluginError: it cannot be imported.
    """
    if not options:
        return {}
    known = _options(spec.load())
    values = {}
    for name, value in options.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            raise ConfigError(
                f"metric '{spec.name}' has no option '{name}'.{guess}",
                hint=f"It has {', '.join(known)}." if known else "It has none at all.",
            )
        values[name] = _read(spec.name, known[name], value)
    return values


def _options(cls: type[Metric]) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(cls, eval_str=True)
    except NameError:  # a type that is imported for type checkers only
        signature = inspect.signature(cls)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p for p in signature.parameters.values() if p.kind in named}


def _read(metric: str, parameter: inspect.Parameter, value: Any) -> Any:
    if not _can_be_checked(parameter.annotation):
        return value
    try:
        return TypeAdapter(parameter.annotation, config=_EXACT).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{metric}.{parameter.name} = {value!r} cannot be: {first['msg'][:1].lower()}{first['msg'][1:]}.",
            hint=f"Its default is {parameter.default!r}.",
        ) from None


def _can_be_checked(annotation: Any) -> bool:
    """Whether a type is made of numbers, text, tuples and choices: what a suite file can say."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return True
    if origin in (tuple, list, typing.Union, types.UnionType):
        return all(a is ... or _can_be_checked(a) for a in typing.get_args(annotation))
    return annotation in _PLAIN
