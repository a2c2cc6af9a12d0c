"""The errors that metabench raises on purpose, and the exit code of each.

::

    MetabenchError              2   any error that the user can correct
    |- UsageError               2   an invalid option or argument
    |  `- UnknownName           2   a name that is not registered ("did you mean")
    |- ConfigError              2   an invalid configuration or suite file
    |- DataError                2   a data set that is missing, damaged or unsafe
    |- ProtocolError            2   an episode that the data set is too small for
    |- ResultsError             2   a results folder that cannot be read or written
    |- CellFailed               1   a cell that ran and failed
    |  |- LeakageError          1   meta-test classes were drawn in meta-training
    |  |- DivergedError         1   a loss or a score that is not finite
    |  `- NotApplicable         1   an algorithm that does not support the problem
    |- PluginError              4   a broken plugin
    `- NothingSelected          5   no cell to run, or no record to show

The message says what was wrong, with the value; the hint says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Scripts rely on these; docs/scripts.md lists them.
EXIT_OK = 0
EXIT_CELL_FAILED = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3
EXIT_PLUGIN = 4
EXIT_NOTHING = 5
EXIT_INTERRUPTED = 130


class MetabenchError(Exception):
    """The base class of all errors that metabench raises on purpose.

    Args:
        message: What was wrong, with the value.
        hint: What would be right, or what to do next. Shown on a line of its own.
    """

    exit_code: int = EXIT_USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    @property
    def one_line(self) -> str:
        """The message and the hint on one line, for tables and records."""
        return " ".join(str(self).split())


class UsageError(MetabenchError):
    """Invalid option or argument."""


class UnknownName(UsageError):
    """A name that is not registered.

    Args:
        kind: The kind of thing, in the singular: "algorithm".
        name: The unknown name.
        known: The registered names, all that ``metabench list`` shows unless there is a hint.
        hint: What to do next; by default the command that lists the registered names.
        where: Where the name is unknown, if not everywhere: "in suite 'core'".
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, hint: str = "", where: str = ""
    ) -> None:
        self.name = name
        names = sorted(known)
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        super().__init__(
            f"unknown {kind} '{name}'{where and f' {where}'}.{did_you_mean(name, names)}",
            hint=hint or f"`metabench list {plural}` shows the {len(names)} that are installed.",
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns `` Did you mean 'closest'?`` for the known name that is most similar, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


class ConfigError(MetabenchError):
    """Invalid configuration or suite file."""


class DataError(MetabenchError):
    """A data set that is missing, damaged or unsafe to unpack."""


class ProtocolError(MetabenchError):
    """An episode that the data set is too small for, such as more ways than classes."""


class ResultsError(MetabenchError):
    """A results folder that cannot be read or written."""


class CellFailed(MetabenchError):
    """A cell that ran and failed."""

    exit_code = EXIT_CELL_FAILED


class LeakageError(CellFailed):
    """Meta-test classes were drawn in meta-training."""


class DivergedError(CellFailed):
    """A loss, a parameter or a score that is not finite."""


class NotApplicable(CellFailed):
    """An algorithm that does not support the problem. The cell is skipped with this reason."""


class PluginError(MetabenchError):
    """A broken plugin, with the reason."""

    exit_code = EXIT_PLUGIN


class NothingSelected(MetabenchError):
    """No cell to run, or no record to show."""

    exit_code = EXIT_NOTHING
