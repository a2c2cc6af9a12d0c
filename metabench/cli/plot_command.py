"""``metabench plot``: a figure for a paper."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.cli.records import load_records, of_benchmarks, tell_left_out
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected

_PATH = click.Path(path_type=Path)


@click.command("plot")
@click.argument("kind", type=click.Choice(("adaptation", "pareto", "robustness", "learning")))
@click.argument("results", type=_PATH, default=Path("results"))
@click.option(
    "--out", type=_PATH, required=True, metavar="FILE", help="An .svg, .png or .pdf file."
)
@click.option(
    "-b", "--benchmark", "benchmarks", multiple=True, metavar="GLOB", help="Only these benchmarks."
)
@click.option("--quick", is_flag=True, help="Show --quick records instead of the real ones.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 where a record or file is left out as unsound."
)
def command(
    kind: str, results: Path, *, out: Path, benchmarks: tuple[str, ...], quick: bool, strict: bool
) -> int:
    """Draw the records in RESULTS with matplotlib (pip install 'metabench[plot]').

    One panel for each benchmark; `pareto` is the score against milliseconds.
    """
    from metabench.report import gather
    from metabench.report.paper import check_file, plot, save

    check_file(out)
    records, unreadable = load_records(results)
    facts = gather(of_benchmarks(records, benchmarks, results), unreadable, quick=quick)
    tell_left_out(facts.left_out, unreadable, facts.rejected)
    if not facts.benchmarks:
        raise NothingSelected(
            f"'{results}' holds no record to plot.", hint="`metabench run --all` makes some."
        )
    save(plot(facts.benchmarks, kind), out)
    click.echo(f"wrote {out}")
    return EXIT_CELL_FAILED if strict and (unreadable or facts.rejected) else EXIT_OK
