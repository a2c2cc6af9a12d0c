"""The checks of a committed leaderboard: ``metabench leaderboard --verify`` and ``--recheck``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, ResultsError
from metabench.utils.text import counted

if TYPE_CHECKING:
    from metabench.records.schema import Record
    from metabench.records.store import Unreadable


def verify(results: Path, records: list[Record], unreadable: list[Unreadable]) -> int:
    """Check the records of a leaderboard and its pages. Returns the exit code.

    Args:
        results: The folder of the leaderboard.
        records: Its records.
        unreadable: The files in it that are not records.

    Raises:
        NothingSelected: If there is no record.
    """
    from metabench.leaderboard.verify import problems_of

    problems = problems_of(records, unreadable, results)
    changes, notices = _changes(results, records)
    problems += changes
    for line in (*problems, *notices):
        click.echo(line, err=True)
    if problems:
        click.echo(f"{counted(len(problems), 'problem')} in '{results}'.", err=True)
        return EXIT_CELL_FAILED
    if not records:
        raise NothingSelected(f"'{results}' has no record to verify.")
    click.echo(f"{counted(len(records), 'record')} verified; the pages agree with them.")
    return EXIT_OK


def _changes(results: Path, records: list[Record]) -> tuple[list[str], list[str]]:
    """Returns how the installed code differs from that of the records, and what is unknown."""
    from metabench.leaderboard.codes import read_rechecks
    from metabench.plugins import installed_plugins

    try:
        from metabench.leaderboard.installed import compare_with_installed
    except ModuleNotFoundError as error:  # all else of a verification works without PyTorch
        if error.name != "torch":
            raise
        return [], ["The records were not compared with the installed code: that needs PyTorch."]
    try:
        lines = read_rechecks(results)
    except ResultsError:  # a problem that was reported
        lines = ()
    found = compare_with_installed(records, installed_plugins().registry, lines)
    return found.problems(results), found.notices()


def recheck(results: Path, records: list[Record], data: Path | None) -> int:
    """Run a cell again for each change of an algorithm's code. Returns the exit code.

    Args:
        results: The folder of the leaderboard.
        records: Its records.
        data: The folder with one folder for each data set.

    Raises:
        ResultsError: If ``code.csv`` is something else, or cannot be written.
    """
    from metabench.leaderboard import recheck as rechecks
    from metabench.leaderboard.codes import read_rechecks
    from metabench.leaderboard.installed import compare_with_installed
    from metabench.plugins import installed_plugins

    registry = installed_plugins().registry
    found = compare_with_installed(records, registry, read_rechecks(results))
    for notice in found.notices():
        click.echo(notice, err=True)
    rechecked = list[bool]()
    for result in rechecks.recheck(
        found.other_code,
        registry,
        results,
        data=data,
        on_start=lambda text: click.echo(text, err=True),
    ):
        click.echo(result.text, err=not result.agrees)
        rechecked.append(result.agrees)
    if not rechecked:
        click.echo(
            f"nothing to do: '{results}' has no record of other code alone; `--verify` says what "
            "else differs.",
            err=True,
        )
    return EXIT_OK if all(rechecked) else EXIT_CELL_FAILED
