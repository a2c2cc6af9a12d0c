"""``metabench leaderboard``: the ranked table of stored records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.options import settings_options
from metabench.cli.records import (
    benchmarks_option,
    load_records,
    of_benchmarks,
    of_suite,
    print_left_out,
    quick_option,
    results_argument,
    strict_option,
)
from metabench.config import CellSettings, parse_list
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, UsageError

if TYPE_CHECKING:
    from metabench.leaderboard.build import Leaderboard

_RESULTS = ":results:"
"""The value of ``--write`` without a folder: no path begins with a colon by accident."""


@click.command("leaderboard")
@results_argument
@click.option(
    "--format",
    "form",
    metavar="NAME",
    default="table",
    show_default=True,
    help="See `metabench list formats`.",
)
@benchmarks_option
@click.option(
    "--suite",
    metavar="NAME",
    help="Only the benchmarks of a suite, or of the .toml file of one.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Rank by another metric or column: adaptation, pgd_0.1, adapt_ms, ...",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path(_RESULTS),
    metavar="[DIR]",
    help="Write the page and its CSV file to RESULTS, or to DIR.",
)
@click.option(
    "--verify", is_flag=True, help="Check the records, and that the page agrees with them."
)
@click.option(
    "--recheck",
    is_flag=True,
    help="Run one cell again for each change of an algorithm's code; the same numbers accept it.",
)
@settings_options(CellSettings, "data")
@click.option("--columns", metavar="NAMES", help="Further columns: pgd_0.1,shift_drop, ... or all.")
@click.option(
    "--aggregate",
    is_flag=True,
    help="One table over all benchmarks: average ranks and interquartile means.",
)
@quick_option
@strict_option
def command(
    *,
    results: Path,
    form: str,
    benchmarks: tuple[str, ...],
    suite: str | None,
    metric: str | None,
    write: Path | None,
    verify: bool,
    recheck: bool,
    columns: str | None,
    aggregate: bool,
    quick: bool,
    strict: bool,
    data: Path | None,
) -> int:
    """Rank the algorithms of each benchmark, from the records in RESULTS."""
    _check_options(
        bool(write) + verify + recheck,
        recheck=recheck,
        part=bool(benchmarks or suite or metric or quick or aggregate),
    )
    from metabench.leaderboard import build as leaderboard
    from metabench.leaderboard import formats
    from metabench.leaderboard.looks import (
        LEDGER,
        ledger_text,
        looks_of,
        read_ledger,
        with_records,
    )
    from metabench.leaderboard.pages import board_files, title_of, write_files
    from metabench.plugins import installed_plugins

    registry = installed_plugins().registry
    registry.get("format", form)  # an unknown format is an error before thousands of records load
    records, unreadable = load_records(results)
    if verify or recheck:
        from metabench.cli import board_checks

        if verify:
            return board_checks.verify(results, records, unreadable)
        return board_checks.recheck(results, records, data)
    of_others: list[str] = []
    if suite:
        records, of_others = of_suite(records, suite)
    chosen = of_benchmarks(records, benchmarks, results)
    # The page of a results folder belongs beside its records, where --verify looks for it.
    folder = results if write in (None, Path(_RESULTS)) else write
    ledger = set(read_ledger(results) | read_ledger(folder))
    if write:
        ledger = with_records(ledger, chosen)
    board = leaderboard.build(chosen, quick=quick, metric=metric or "", looks=looks_of(ledger))
    print_left_out([*of_others, *board.left_out], unreadable, board.rejected)
    code = EXIT_CELL_FAILED if strict and (unreadable or board.rejected) else EXIT_OK
    if write and board.rows:
        files = board_files(board, title_of(results)) | {LEDGER: ledger_text(ledger)}
        for path in write_files(files, folder):
            click.echo(f"wrote {path}", err=True)
        return code
    if aggregate:
        click.echo(_aggregate(board, form, results))
        return code
    if board.rows or form == "json":  # an empty array is a valid document
        click.echo(formats.render(registry, form, board, list(parse_list(columns or ""))))
    if code == EXIT_OK and not board.rows:
        raise _nothing_to_rank(board, results, suite)
    return code


def _nothing_to_rank(board: Leaderboard, results: Path, suite: str | None) -> NothingSelected:
    """Returns the error that says what to do where no record can be ranked."""
    which = f" of the suite '{suite}'" if suite else ""
    reasons = {one.reason for one in board.selection.left_out}
    if reasons == {"quick"}:
        hint = "`--quick` shows the records of --quick runs."
    elif reasons:
        # They were listed above, and the same run would be left out again.
        hint = "All were left out, see above."
    else:
        hint = f"`metabench run {f'--suite {suite}' if suite else '--all'}` creates records."
    return NothingSelected(f"'{results}' has no record{which} to rank.", hint=hint)


def _aggregate(board: Leaderboard, form: str, results: Path) -> str:
    from metabench.leaderboard.aggregate import render_aggregate

    if not board.aggregate:
        raise NothingSelected(
            f"'{results}' has no two algorithms that are ranked on the same two benchmarks.",
            hint="A rank needs three seeds.",
        )
    return render_aggregate(board.aggregate, form)


def _check_options(actions: int, *, recheck: bool, part: bool) -> None:
    """Check the options beside --write, --verify and --recheck.

    Args:
        actions: How many of the three were given.
        recheck: Whether --recheck was.
        part: Whether other options select a part of the records, or another ranking.

    Raises:
        UsageError: If they exclude each other.
    """
    if actions and part:
        raise UsageError(
            "--write, --verify and --recheck apply to all records, ranked as the benchmarks say.",
            hint="Omit --benchmark, --suite, --metric, --aggregate and --quick.",
        )
    if recheck and actions > 1:
        raise UsageError(
            "--recheck excludes --write and --verify.", hint="Run them one after the other."
        )
