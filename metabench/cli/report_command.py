"""``metabench report``: the page that people look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.records import load_records, tell_left_out
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected

if TYPE_CHECKING:
    from metabench.report import BenchmarkResults
    from metabench.report.pictures import Picture

_PATH = click.Path(path_type=Path)


@click.command("report")
@click.argument("results", type=_PATH, default=Path("results"))
@click.option(
    "--out", type=_PATH, default=Path("site"), show_default=True, help="The folder of the site."
)
@click.option(
    "--data", type=_PATH, help="The folder that holds one folder per data set, for the pictures."
)
@click.option("--quick", is_flag=True, help="Show --quick records instead of the real ones.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 where a record or file is left out as unsound."
)
def command(results: Path, *, out: Path, data: Path | None, quick: bool, strict: bool) -> int:
    """Make a static site from the records in RESULTS; it opens from disk, without a network.

    The leaderboard of each benchmark, to sort and to filter; accuracy against milliseconds; adaptation,
    learning and robustness curves; the spread over the episodes; and a page for each algorithm.
    """
    from metabench.plugins import installed_plugins
    from metabench.report import gather, render_site, write_site
    from metabench.report.pictures import pictures_of
    from metabench.report.site import check_replaceable
    from metabench.utils.redirect import stdout_to_stderr

    records, unreadable = load_records(results)
    check_replaceable(out)
    facts = gather(records, unreadable, quick=quick)
    tell_left_out(facts.left_out, unreadable, facts.rejected)
    if not facts.benchmarks:
        if unreadable and strict:
            return EXIT_CELL_FAILED
        raise NothingSelected(
            f"'{results}' holds no record to show.", hint="`metabench run --all` makes some."
        )
    registry = installed_plugins().registry

    def pictures(section: BenchmarkResults) -> list[Picture] | str:
        shown = [record for records in section.records.values() for record in records]
        return pictures_of(section.benchmark, shown, registry, data)

    with stdout_to_stderr():  # opening a data set calls code of plugins
        pages = render_site(facts, pictures)
    write_site(pages, out)
    click.echo(f"wrote {len(pages)} page(s); open {out / 'index.html'}")
    return EXIT_CELL_FAILED if strict and (unreadable or facts.rejected) else EXIT_OK
