"""The built-in formats of a leaderboard, and the call of any format."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from metabench.errors import MetabenchError, PluginError
from metabench.leaderboard.build import Leaderboard
from metabench.registry import Registry, Spec, describe_error
from metabench.utils.redirect import stdout_to_stderr


def render(registry: Registry, name: str, board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns a leaderboard as text in a registered format.

    Args:
        registry: The installed plugins.
        name: The format.
        board: The leaderboard.
        columns: The extra columns, or ``all``; by default the format chooses.

    Raises:
        UnknownName: If there is no such format or column.
        PluginError: If the format cannot be imported, fails, or returns no text.
    """
    spec = registry.get("format", name)
    function = spec.load()
    try:
        with stdout_to_stderr():  # a plugin may print, and stdout is the document
            text = function(board, columns)
    except MetabenchError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may also call sys.exit
        raise _broken(registry, spec, f"failed: {describe_error(error)}") from error
    if not isinstance(text, str):
        raise _broken(registry, spec, f"returned {reprlib.repr(text)} instead of text")
    return text


def _broken(registry: Registry, spec: Spec, what: str) -> PluginError:
    reason = f"format '{spec.name}' of '{spec.distribution}' {what}"
    registry.on_broken("format", spec, reason)
    return PluginError(reason, hint="`metabench list formats` shows the others.")


def table(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns a table for each benchmark, for a terminal."""
    return board.render("table", columns)


def markdown(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns a table for each benchmark, with a heading."""
    return board.render("markdown", columns)


def csv(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns one table with all columns, whichever are chosen."""
    return board.render("csv", columns)


def json(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns one array with all columns, whichever are chosen."""
    return board.render("json", columns)


def html(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns a table for each benchmark, with a heading; names are escaped."""
    return board.render("html", columns)


def latex(board: Leaderboard, columns: Sequence[str] = ()) -> str:
    """Returns a table for each benchmark in the style of booktabs."""
    return board.render("latex", columns)
