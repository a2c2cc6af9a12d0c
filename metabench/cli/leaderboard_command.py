"""``metabench leaderboard``: the table made from stored records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, ResultsError, UnknownName, UsageError

if TYPE_CHECKING:
    from metabench.results import Record, Unreadable


@click.command("leaderboard")
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option(
    "--format", "form", metavar="NAME", default="table", help="`metabench list formats`; table by default."
)
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="GLOB", help="Only these benchmarks.")
@click.option("--write", is_flag=True, help="Write the page beside the records.")
@click.option("--verify", is_flag=True, help="Check the records, and that the page follows from them.")
@click.option("--columns", metavar="NAMES", help="Columns beside the score: pgd_0.1,shift_drop, or all.")
@click.option("--quick", is_flag=True, help="Show --quick records instead of the real ones.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a file among the records is none.")
@click.pass_context
def command(
    ctx: click.Context,
    results: Path,
    form: str,
    benchmarks: tuple[str, ...],
    write: bool,
    verify: bool,
    columns: str | None,
    quick: bool,
    strict: bool,
) -> int:
    """Rank the algorithms of each benchmark, from the records in RESULTS."""
    if (write or verify) and (benchmarks or quick):
        raise UsageError("--write and --verify are for all records: leave out --benchmark and --quick.")
    from metabench import formats, leaderboard
    from metabench.pages import pages_of, write_pages
    from metabench.plugins import installed_plugins
    from metabench.registry import match_names
    from metabench.results import ResultsFolder

    registry = installed_plugins().registry
    registry.get("format", form)
    if not results.exists():
        raise ResultsError(
            f"there is no results folder '{results}'.", hint="`metabench run --all` makes one."
        )
    records, unreadable = ResultsFolder(results).load()
    if verify:
        return _verify(results, records, unreadable)
    if benchmarks:
        names = sorted({r.benchmark.name for r in records})
        try:
            chosen = match_names("benchmark", names, benchmarks)
        except UnknownName as error:
            held = (
                f"'{results}' holds records of {', '.join(names)}."
                if names
                else f"'{results}' holds no record."
            )
            raise UnknownName("benchmark", error.name, names, hint=held) from None
        records = [r for r in records if r.benchmark.name in chosen]
    board = leaderboard.build(records, quick=quick)
    for text in board.left_out:
        click.echo(f"left out: {text}", err=True)
    for file in unreadable:
        click.echo(f"left out: {file.path} {file.reason}", err=True)
    if unreadable:
        click.echo(f"{len(unreadable)} file(s) among the records are none.", err=True)
    if write and board.rows:
        for path in write_pages(pages_of(board, results.as_posix()), results):
            click.echo(f"wrote {path}", err=True)
        return EXIT_CELL_FAILED if unreadable and strict else EXIT_OK
    if board.rows or form == "json":
        more = [name for name in map(str.strip, (columns or "").split(",")) if name]
        click.echo(formats.render(registry, form, board, more))
    if unreadable and strict:
        return EXIT_CELL_FAILED
    if not board.rows:
        raise NothingSelected(
            f"'{results}' holds no record to rank.", hint="`metabench run --all` makes some."
        )
    return EXIT_OK


def _verify(results: Path, records: list[Record], unreadable: list[Unreadable]) -> int:
    from metabench.pages import problems_of

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
