"""``metabench plot``: a figure for a paper."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, ResultsError

_PATH = click.Path(path_type=Path)


@click.command("plot")
@click.argument("kind", type=click.Choice(("adaptation", "pareto", "robustness", "learning")))
@click.argument("results", type=_PATH, default=Path("results"))
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="An .svg, .png or .pdf file.")
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="GLOB", help="Only these benchmarks.")
@click.option("--quick", is_flag=True, help="Show --quick records instead of the real ones.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a file among the records is none.")
def command(
    kind: str, results: Path, *, out: Path, benchmarks: tuple[str, ...], quick: bool, strict: bool
) -> int:
    """Draw the records in RESULTS with matplotlib (pip install 'metabench[plot]').

    One panel for each benchmark; `pareto` is the score against milliseconds.
    """
    from metabench.registry import match_names
    from metabench.report import gather
    from metabench.report.paper import check_file, plot, save
    from metabench.results import ResultsFolder

    check_file(out)
    if not results.exists():
        raise ResultsError(
            f"there is no results folder '{results}'.", hint="`metabench run --all` makes one."
        )
    records, unreadable = ResultsFolder(results).load()
    if benchmarks:
        chosen = match_names("benchmark", sorted({r.benchmark.name for r in records}), benchmarks)
        records = [r for r in records if r.benchmark.name in chosen]
    facts = gather(records, unreadable, quick=quick)
    for text in facts.left_out:
        click.echo(f"left out: {text}", err=True)
    for file in unreadable:
        click.echo(f"left out: {file.path} {file.reason}", err=True)
    if not facts.sections:
        raise NothingSelected(
            f"'{results}' holds no record to plot.", hint="`metabench run --all` makes some."
        )
    save(plot(facts.sections, kind), out)
    click.echo(f"wrote {out}")
    return EXIT_CELL_FAILED if strict and (unreadable or facts.unsound) else EXIT_OK
