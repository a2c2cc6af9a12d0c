"""Every error that metabench raises on purpose, and the exit code that each one becomes.

::

    MetabenchError              2   something the user can put right
    |- UsageError               2   an option or argument that cannot be
    |  `- UnknownName           2   a name that nothing answers to ("did you mean")
    |- ConfigError              2   a configuration or suite file that cannot be
    |- DataError                2   a data set that is missing, damaged or unsafe
    |- ProtocolError            2   an episode that the data cannot give
    |- ResultsError             2   a results folder that cannot be read or written
    |- CellFailed               1   a cell that ran and failed
    |  |- LeakageError          1   meta-test classes were seen in meta-training
    |  |- DivergedError         1   a loss or a score is no longer finite
    |  `- NotApplicable         1   the algorithm does not do this kind of problem
    |- PluginError              4   a plugin that is broken
    `- NothingSelected          5   no cell is left to run or show

A message says what was wrong, with the value; a hint says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_CELL_FAILED = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3
EXIT_PLUGIN = 4
EXIT_NOTHING = 5
EXIT_INTERRUPTED = 130


class MetabenchError(Exception):
    """The base of every error that metabench raises on purpose.

    Args:
        message: what was wrong, with the value that was wrong.
        hint: what would be right, or what to do next; shown on a line of its own.
    """

    exit_code: int = EXIT_USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(MetabenchError):
    """An option or an argument that cannot be."""


class UnknownName(UsageError):
    """A name that nothing answers to.

    Args:
        kind: what was looked for, in the singular: "algorithm".
        name: the name that was asked for.
        known: the names there are.
        hint: what to do next; by default the command that lists them.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.name = name
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        super().__init__(
            f"unknown {kind} '{name}'.{guess}",
            hint=hint or f"`metabench list {plural}` shows the {len(names)} that are installed.",
        )


class ConfigError(MetabenchError):
    """A configuration or suite file that cannot be."""


class DataError(MetabenchError):
    """A data set that is missing, damaged or unsafe to unpack."""


class ProtocolError(MetabenchError):
    """An episode that the data cannot give, such as more ways than there are classes."""


class ResultsError(MetabenchError):
    """A results folder that cannot be read or written."""


class CellFailed(MetabenchError):
    """A cell that ran and failed."""

    exit_code = EXIT_CELL_FAILED


class LeakageError(CellFailed):
    """Classes of meta-test were seen in meta-training."""


class DivergedError(CellFailed):
    """A loss, a parameter or a score is no longer a finite number."""


class NotApplicable(CellFailed):
    """The algorithm does not do this kind of problem; the cell is skipped, with this reason."""


class PluginError(MetabenchError):
    """A plugin that is broken, with the reason."""

    exit_code = EXIT_PLUGIN


class NothingSelected(MetabenchError):
    """No cell is left to run, or no record to show."""

    exit_code = EXIT_NOTHING
