"""Errors of the worker, raised again in the scorer with the same type, text and traceback."""

from __future__ import annotations

import traceback
from typing import Any

import torch

from metabench import errors
from metabench.errors import MetabenchError

_OURS: dict[str, type[MetabenchError]] = {
    cls.__name__: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, MetabenchError)
}
# Those that metrics tell apart, and the common ones. The type of any other error is a new class
# with its name.
_OTHERS: dict[str, type[Exception]] = {
    cls.__name__: cls
    for cls in (
        AttributeError,
        ArithmeticError,
        AssertionError,
        IndexError,
        KeyError,
        LookupError,
        MemoryError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        torch.OutOfMemoryError,
    )
}


def describe(error: BaseException) -> dict[str, Any]:
    """Returns an error as a value that JSON can represent."""
    text = "".join(traceback.format_exception(error))
    described: dict[str, Any] = {
        "types": [cls.__name__ for cls in type(error).__mro__],
        "text": _text(error),
        "traceback": text[-4000:],
    }
    if isinstance(error, MetabenchError):
        described |= {"text": error.message, "hint": error.hint}
    if isinstance(error, SystemExit):
        described["code"] = error.code if isinstance(error.code, (int, str)) else repr(error.code)
    return described


def rebuild(described: dict[str, Any]) -> BaseException:
    """Returns an error like the one that was described; the description is not trusted."""
    names = [str(name) for name in described.get("types", ())] or ["RuntimeError"]
    error = _error(names, str(described.get("text", "")), described)
    error.add_note(f"In the process of the algorithm:\n{described.get('traceback', '')}".rstrip())
    return error


def _error(names: list[str], text: str, described: dict[str, Any]) -> BaseException:
    if names[0] == "SystemExit":
        return SystemExit(described.get("code"))
    for name in names:
        if name in _OURS and name != "UnknownName":  # which is made from other arguments
            return _OURS[name](text, hint=str(described.get("hint", "")))
        if name in _OTHERS:
            break
    # A subclass: `str` of a KeyError, for example, is not its argument.
    base = next((_OTHERS[name] for name in names if name in _OTHERS), Exception)
    made: BaseException = type(names[0], (base,), {"__str__": lambda self: text})()
    return made


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a plugin's __str__ can raise too
        return "(its message cannot be shown)"
