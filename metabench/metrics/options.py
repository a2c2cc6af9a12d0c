"""Options of metrics: read from their constructors, checked before anything runs."""

from __future__ import annotations

import difflib
import inspect
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from metabench.errors import ConfigError
from metabench.metrics.base import Metric
from metabench.registry import Spec
from metabench.utils.validation import explain

_PLAIN = (bool, int, float, str, tuple, list, type(None))
# Strict, so that neither true nor "5" is a number.
_VALIDATION = ConfigDict(strict=True, allow_inf_nan=False)


def make_metric(spec: Spec, options: Mapping[str, Any]) -> Metric:
    """Construct a metric with its options.

    Args:
        spec: Spec of the metric.
        options: Values by name; see :func:`check_options`.

    Raises:
        ConfigError: If there is no such option, or a value has the wrong type.
        PluginError: If the metric cannot be imported.
    """
    metric: Metric = spec.load()(**check_options(spec, options))
    return metric


def check_options(spec: Spec, options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the options of a metric to the types that its constructor declares.

    Args:
        spec: Spec of the metric.
        options: Values by name. A list may stand for a tuple, and an int for a float.

    Raises:
        ConfigError: If there is no such option, or a value has the wrong type or is out of bounds.
        PluginError: If the metric cannot be imported.
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
                hint=f"Its options are {', '.join(known)}." if known else "It has no options.",
            )
        values[name] = _convert(spec.name, known[name], value)
    return values


def _options(cls: type[Metric]) -> dict[str, inspect.Parameter]:
    # `from __future__ import annotations` makes types strings, which eval_str turns back.
    try:
        signature = inspect.signature(cls, eval_str=True)
    except NameError:  # a type that is imported under TYPE_CHECKING only
        signature = inspect.signature(cls)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p for p in signature.parameters.values() if p.kind in named}


def _convert(metric: str, parameter: inspect.Parameter, value: Any) -> Any:
    if not _is_plain(parameter.annotation):
        return value
    try:
        # As JSON, which has arrays but no tuples, as TOML, and where 1 is a valid float.
        adapter = TypeAdapter(parameter.annotation, config=_VALIDATION)
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        # The first alone: of a union each member has an error.
        (problem,) = explain(error.errors()[:1], None, values=False).values()
        raise ConfigError(
            f"invalid value for the metric option {metric}.{parameter.name}: {value!r} "
            f"({problem}).",
            hint=f"Its default is {parameter.default!r}.",
        ) from None


def _is_plain(annotation: Any) -> bool:
    """Returns whether a type consists of numbers, text, tuples and choices, as TOML has them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:  # a type with bounds
        return _is_plain(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return True
    if origin in (tuple, list, typing.Union, types.UnionType):
        return all(a is ... or _is_plain(a) for a in typing.get_args(annotation))
    return annotation in _PLAIN
