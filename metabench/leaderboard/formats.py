"""The formats of a leaderboard: those that ship, and how one of a plugin is called."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from metabench.errors import MetabenchError, PluginError
from metabench.leaderboard.build import Leaderboard
from metabench.registry import Registry, Spec, describe_error
from metabench.utils.redirect import stdout_to_stderr


def render(registry: Registry, name: str, board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """A leaderboard as text, in a format that anybody may have brought.

    Args:
        registry: what is installed.
        name: the format.
        board: the leaderboard.
        columns: the columns beside the score, or ``all``; by default the format chooses.

    Raises:
        UnknownName: there is no such format or column.
        PluginError: the format cannot be imported, fails, or gives no text.
    """
    spec = registry.get("format", name)
    function = spec.load()
    try:
        with stdout_to_stderr():
            text = function(board, columns)
    except MetabenchError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(registry, spec, f"failed: {describe_error(error)}") from error
    if not isinstance(text, str):
        raise _broken(registry, spec, f"gave {reprlib.repr(text)}, which is no text")
    return text


def _broken(registry: Registry, spec: Spec, what: str) -> PluginError:
    reason = f"format '{spec.name}' of '{spec.distribution}' {what}"
    registry.on_broken("format", spec, reason)
    return PluginError(reason, hint="`metabench list formats` shows the others.")


def table(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """A table for each benchmark, for a terminal."""
    return board.render("table", columns)


def markdown(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """A table for each benchmark, with a heading."""
    return board.render("markdown", columns)


def csv(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """One table with all that is known, whatever columns are asked for."""
    return board.render("csv", columns)


def json(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """One array with all that is known, whatever columns are asked for."""
    return board.render("json", columns)


def html(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """A table for each benchmark, with a heading; every name is escaped."""
    return board.render("html", columns)


def latex(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """A table for each benchmark, in the style of booktabs."""
    return board.render("latex", columns)
