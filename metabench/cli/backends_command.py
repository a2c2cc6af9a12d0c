"""``metabench backends``: one method by several libraries, as a page made from records."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.errors import ResultsError


@click.command("backends")
@click.argument("results", type=click.Path(path_type=Path), default=Path("leaderboards/backends"))
@click.option(
    "-a",
    "--algorithm",
    "names",
    multiple=True,
    metavar="NAME",
    help="These instead of MAML by each library; the first is what the others' speed is relative to.",
)
def command(results: Path, names: tuple[str, ...]) -> None:
    """Accuracy, meta-training speed and memory of one method by several libraries, in markdown."""
    from metabench import backends
    from metabench.results import ResultsFolder

    if not results.exists():
        raise ResultsError(f"there is no results folder '{results}'.", hint="`metabench run` makes one.")
    records, unreadable = ResultsFolder(results).load()
    for file in unreadable:
        click.echo(f"left out: {file.path} {file.reason}", err=True)
    click.echo(backends.render(records, names=names or backends.BACKENDS, folder=results.as_posix()))
