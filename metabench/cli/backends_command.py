"""``metabench backends``: one method by several libraries, as a page made from records."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.cli.records import RUN, load_records, tell_left_out


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
    from metabench.leaderboard import backends

    records, unreadable = load_records(results, hint=RUN)
    tell_left_out([], unreadable)
    click.echo(
        backends.render(records, names=names or backends.BACKENDS, folder=results.as_posix())
    )
