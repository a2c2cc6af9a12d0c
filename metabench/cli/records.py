"""Options and functions that the commands which read a results folder share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.errors import ResultsError, UnknownName
from metabench.utils.text import counted

if TYPE_CHECKING:
    from metabench.records.schema import Record
    from metabench.records.store import Unreadable

RUN_ALL = "`metabench run --all` creates one."
RUN = "`metabench run` creates one."

results_argument = click.argument(
    "results", type=click.Path(path_type=Path), default=Path("results")
)
benchmarks_option = click.option(
    "-b", "--benchmark", "benchmarks", multiple=True, metavar="GLOB", help="Only these benchmarks."
)
quick_option = click.option(
    "--quick", is_flag=True, help="Show --quick records instead of the others."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 1 if a record or file is left out as invalid."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def load_records(folder: Path, *, hint: str = RUN_ALL) -> tuple[list[Record], list[Unreadable]]:
    """Returns every record of a results folder, and every file in it that is not a valid record.

    Args:
        folder: The results folder.
        hint: What to do if it does not exist.

    Raises:
        ResultsError: If it does not exist, or is a file.
    """
    from metabench.records.store import ResultsFolder

    if not folder.exists():  # a misspelt path must not look like a folder without records
        raise ResultsError(f"there is no results folder '{folder}'.", hint=hint)
    if not folder.is_dir():
        raise ResultsError(
            f"'{folder}' is a file, not a results folder.",
            hint="Give the folder that contains `records/`.",
        )
    return ResultsFolder(folder).load()


def print_left_out(
    left_out: Iterable[str], unreadable: Sequence[Unreadable], inconsistent: Sequence[str] = ()
) -> None:
    """Print on stderr what a command leaves out.

    Args:
        left_out: What is left out, in words.
        unreadable: Files that are not valid records.
        inconsistent: The items of ``left_out`` that are invalid records, or records that are
            inconsistent with the majority.
    """
    for text in left_out:
        click.echo(f"left out: {text}", err=True)
    for file in unreadable:
        click.echo(f"left out: {file.path} {file.reason}", err=True)
    if unreadable:
        verb = "is not a valid record" if len(unreadable) == 1 else "are not valid records"
        click.echo(f"{counted(len(unreadable), 'file')} {verb}.", err=True)
    if inconsistent:
        verb = "is" if len(inconsistent) == 1 else "are"
        text = f"{counted(len(inconsistent), 'record')} {verb} invalid or inconsistent"
        click.echo(f"{text} with the majority.", err=True)


def of_benchmarks(records: list[Record], patterns: Sequence[str], folder: Path) -> list[Record]:
    """Returns the records of some benchmarks; of all if there is no pattern.

    Args:
        records: The records.
        patterns: Names or globs of benchmarks.
        folder: The folder of the records, for the message.

    Raises:
        UnknownName: If a pattern matches no benchmark of the records.
    """
    from metabench.registry import match_names

    if not patterns:
        return records
    names = sorted({r.benchmark.name for r in records})
    try:
        chosen = match_names("benchmark", names, patterns)
    except UnknownName as error:
        held = f"has records of {', '.join(names)}." if names else "has no record."
        raise UnknownName("benchmark", error.name, names, hint=f"'{folder}' {held}") from None
    return [r for r in records if r.benchmark.name in chosen]


def of_suite(records: list[Record], suite: str) -> tuple[list[Record], list[str]]:
    """Returns the records of a suite's current benchmarks, and in words what that leaves out.

    Args:
        records: The records.
        suite: Its name, or the path of its ``.toml`` file.

    Raises:
        UnknownName: If there is no such suite.
        ConfigError: If its file is invalid.
    """
    from metabench.config import Selection
    from metabench.plugins import installed_plugins
    from metabench.running.selection import select_benchmarks

    versions = {
        benchmark.name: benchmark.version
        for benchmark in select_benchmarks(installed_plugins().registry, Selection(suite=suite))
    }
    named = [r for r in records if r.benchmark.name in versions]
    # Versions of a benchmark have other episodes, and cannot be ranked together.
    kept = [r for r in named if r.benchmark.version == versions[r.benchmark.name]]
    others = len(named) - len(kept)
    text = f"{counted(others, 'record')} of other versions of the suite's benchmarks"
    return kept, [text] if others else []
