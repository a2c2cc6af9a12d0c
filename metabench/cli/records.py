"""What the commands that read a results folder have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.errors import ResultsError, UnknownName

if TYPE_CHECKING:
    from metabench.records.schema import Record
    from metabench.records.store import Unreadable

RUN_ALL = "`metabench run --all` makes one."
RUN = "`metabench run` makes one."


def load_records(folder: Path, *, hint: str = RUN_ALL) -> tuple[list[Record], list[Unreadable]]:
    """Every record of a results folder, and every file among them that is none.

    Args:
        folder: the results folder.
        hint: what to do where it is missing.

    Raises:
        ResultsError: it is missing.
    """
    from metabench.records.store import ResultsFolder

    if not folder.exists():
        raise ResultsError(f"there is no results folder '{folder}'.", hint=hint)
    return ResultsFolder(folder).load()


def tell_left_out(
    left_out: Iterable[str], unreadable: Sequence[Unreadable], unsound: Sequence[str] = ()
) -> None:
    """Say on stderr what a command leaves out, and count what is damaged.

    Args:
        left_out: what is left out, in words.
        unreadable: files among the records that are none.
        unsound: those of ``left_out`` that are records which cannot be, or not with the others.
    """
    for text in left_out:
        click.echo(f"left out: {text}", err=True)
    for file in unreadable:
        click.echo(f"left out: {file.path} {file.reason}", err=True)
    if unreadable:
        click.echo(f"{len(unreadable)} file(s) among the records are none.", err=True)
    if unsound:
        click.echo(f"{len(unsound)} record(s) cannot stand beside the others.", err=True)


def of_benchmarks(records: list[Record], patterns: Sequence[str], folder: Path) -> list[Record]:
    """The records of the benchmarks that were asked for; all of them where none was.

    Args:
        records: those of the folder.
        patterns: names or globs of benchmarks.
        folder: where they are from, for the message.

    Raises:
        UnknownName: a pattern matches no benchmark of the records.
    """
    from metabench.registry import match_names

    if not patterns:
        return records
    names = sorted({r.benchmark.name for r in records})
    try:
        chosen = match_names("benchmark", names, patterns)
    except UnknownName as error:
        held = f"holds records of {', '.join(names)}." if names else "holds no record."
        raise UnknownName("benchmark", error.name, names, hint=f"'{folder}' {held}") from None
    return [r for r in records if r.benchmark.name in chosen]


def of_suite(records: list[Record], suite: str) -> tuple[list[Record], list[str]]:
    """The records of a suite's benchmarks as it defines them now, and in words which others of it there are.

    Args:
        records: those of the folder.
        suite: its name, or the path of a ``.toml`` file that is one.

    Raises:
        UnknownName: there is no such suite.
        ConfigError: its file cannot be read.
    """
    from metabench.plugins import installed_plugins
    from metabench.running.plan import Selection, select_benchmarks

    versions = {
        benchmark.name: benchmark.version
        for benchmark in select_benchmarks(installed_plugins().registry, Selection(suite=suite))
    }
    named = [r for r in records if r.benchmark.name in versions]
    kept = [r for r in named if r.benchmark.version == versions[r.benchmark.name]]
    others = len(named) - len(kept)
    return kept, [
        f"{others} record(s) of other versions of the suite's benchmarks"
    ] if others else []


def comma_list(text: str) -> list[str]:
    """The names in a list with commas; spaces and empty places are nothing."""
    return [name for name in map(str.strip, text.split(",")) if name]
