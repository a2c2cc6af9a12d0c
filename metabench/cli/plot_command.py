"""``metabench plot``: draw a figure for a paper."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.cli.records import (
    benchmarks_option,
    load_records,
    of_benchmarks,
    print_left_out,
    quick_option,
    results_argument,
    strict_option,
)
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected


@click.command("plot")
@click.argument("kind", type=click.Choice(("adaptation", "pareto", "robustness", "learning")))
@results_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="An .svg, .png or .pdf file.",
)
@benchmarks_option
@quick_option
@strict_option
def command(
    kind: str, results: Path, *, out: Path, benchmarks: tuple[str, ...], quick: bool, strict: bool
) -> int:
    """Plot the records in RESULTS with matplotlib (pip install 'metabench[plot]').

    There is one panel for each benchmark; `pareto` shows the score against milliseconds.
    """
    from metabench.report import gather
    from metabench.report.paper import check_file, plot, save

    check_file(out)  # before records are read: an unknown suffix is a quick answer
    records, unreadable = load_records(results)
    facts = gather(of_benchmarks(records, benchmarks, results), unreadable, quick=quick)
    print_left_out(facts.left_out, unreadable, facts.rejected)
    if not facts.benchmarks:
        raise NothingSelected(
            f"'{results}' has no record to plot.", hint="`metabench run --all` creates records."
        )
    save(plot(facts.benchmarks, kind), out)
    click.echo(f"wrote {out}")
    return EXIT_CELL_FAILED if strict and (unreadable or facts.rejected) else EXIT_OK
