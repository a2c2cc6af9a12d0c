"""``metabench report``: make a static site from records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.options import settings_options
from metabench.cli.records import (
    load_records,
    print_left_out,
    quick_option,
    results_argument,
    strict_option,
)
from metabench.config import CellSettings
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected
from metabench.utils.text import counted

if TYPE_CHECKING:
    from metabench.report import BenchmarkResults
    from metabench.report.pictures import Picture


@click.command("report")
@results_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("site"),
    show_default=True,
    help="The folder of the site.",
)
@settings_options(CellSettings, "data")
@quick_option
@strict_option
def command(results: Path, *, out: Path, data: Path | None, quick: bool, strict: bool) -> int:
    """Make a static site from the records in RESULTS; it opens from disk, without a network.

    It has the leaderboard of each benchmark, to sort and to filter; accuracy against milliseconds;
    adaptation, learning and robustness curves; the distribution over the episodes; and a page for
    each algorithm.
    """
    from metabench.plugins import installed_plugins
    from metabench.report import gather, render_site, write_site
    from metabench.report.pictures import pictures_of
    from metabench.report.site import check_replaceable
    from metabench.utils.redirect import stdout_to_stderr

    records, unreadable = load_records(results)
    check_replaceable(out)  # before the pages are made, which takes minutes for many records
    facts = gather(records, unreadable, quick=quick)
    print_left_out(facts.left_out, unreadable, facts.rejected)
    if not facts.benchmarks:
        if unreadable and strict:
            return EXIT_CELL_FAILED
        raise NothingSelected(
            f"'{results}' has no record to show.", hint="`metabench run --all` creates records."
        )
    registry = installed_plugins().registry

    def pictures(section: BenchmarkResults) -> list[Picture] | str:
        shown = [record for records in section.records.values() for record in records]
        return pictures_of(section.benchmark, shown, registry, data)

    with stdout_to_stderr():  # opening a data set calls code of plugins
        pages = render_site(facts, pictures)
    write_site(pages, out)
    click.echo(f"wrote {counted(len(pages), 'page')}; open {out / 'index.html'}")
    return EXIT_CELL_FAILED if strict and (unreadable or facts.rejected) else EXIT_OK
