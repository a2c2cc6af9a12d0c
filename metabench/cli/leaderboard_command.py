"""``metabench leaderboard``: the table made from stored records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.records import comma_list, load_records, of_benchmarks, of_suite, tell_left_out
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, UsageError

if TYPE_CHECKING:
    from metabench.records.schema import Record
    from metabench.records.store import Unreadable

BESIDE = ":beside:"
"""What ``--write`` without a folder stands for."""


@click.command("leaderboard")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--format",
    "form",
    metavar="NAME",
    default="table",
    help="`metabench list formats`; table by default.",
)
@click.option(
    "-b", "--benchmark", "benchmarks", multiple=True, metavar="GLOB", help="Only these benchmarks."
)
@click.option(
    "--suite",
    metavar="NAME",
    help="Only the benchmarks of a suite, or of a .toml file that is one.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Rank by another measured metric or column: adaptation, pgd_0.1, adapt_ms, ...",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path(BESIDE),
    metavar="[DIR]",
    help="Write the page and its CSV file beside the records, or into DIR.",
)
@click.option(
    "--verify", is_flag=True, help="Check the records, and that the page follows from them."
)
@click.option(
    "--columns", metavar="NAMES", help="Columns beside the score: pgd_0.1,shift_drop, or all."
)
@click.option("--quick", is_flag=True, help="Show --quick records instead of the real ones.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 where a record or file is left out as unsound."
)
@click.pass_context
def command(
    ctx: click.Context,
    results: Path,
    form: str,
    benchmarks: tuple[str, ...],
    suite: str | None,
    metric: str | None,
    write: Path | None,
    verify: bool,
    columns: str | None,
    quick: bool,
    strict: bool,
) -> int:
    """Rank the algorithms of each benchmark, from the records in RESULTS."""
    if (write or verify) and (benchmarks or suite or metric or quick):
        raise UsageError(
            "--write and --verify are for all records, ranked as the benchmarks say.",
            hint="Leave out --benchmark, --suite, --metric and --quick.",
        )
    from metabench.leaderboard import build as leaderboard
    from metabench.leaderboard import formats
    from metabench.leaderboard.pages import board_files, write_files
    from metabench.plugins import installed_plugins

    registry = installed_plugins().registry
    registry.get("format", form)
    records, unreadable = load_records(results)
    if verify:
        return _verify(results, records, unreadable)
    of_others: list[str] = []
    if suite:
        records, of_others = of_suite(records, suite)
    board = leaderboard.build(
        of_benchmarks(records, benchmarks, results), quick=quick, metric=metric or ""
    )
    tell_left_out([*of_others, *board.left_out], unreadable, board.rejected)
    code = EXIT_CELL_FAILED if strict and (unreadable or board.rejected) else EXIT_OK
    if write and board.rows:
        folder = results if write == Path(BESIDE) else write
        for path in write_files(board_files(board, results.as_posix()), folder):
            click.echo(f"wrote {path}", err=True)
        return code
    if board.rows or form == "json":
        click.echo(formats.render(registry, form, board, comma_list(columns or "")))
    if code == EXIT_OK and not board.rows:
        which = f" of the suite '{suite}'" if suite else ""
        raise NothingSelected(
            f"'{results}' holds no record{which} to rank.",
            hint=f"`metabench run {f'--suite {suite}' if suite else '--all'}` makes some.",
        )
    return code


def _verify(results: Path, records: list[Record], unreadable: list[Unreadable]) -> int:
    from metabench.leaderboard.verify import problems_of

    problems = problems_of(records, unreadable, results, results.as_posix())
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        click.echo(f"{len(problems)} problem(s) in '{results}'.", err=True)
        return EXIT_CELL_FAILED
    if not records:
        raise NothingSelected(f"'{results}' holds no record to verify.")
    click.echo(f"{len(records)} records verified; the pages follow from them.")
    return EXIT_OK
