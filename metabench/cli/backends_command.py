"""``metabench backends``: compare implementations of one method in several libraries."""

from __future__ import annotations

from pathlib import Path

import click

from metabench.cli.records import RUN, load_records, print_left_out


@click.command("backends")
@click.argument("results", type=click.Path(path_type=Path), default=Path("leaderboards/backends"))
@click.option(
    "-a",
    "--algorithm",
    "names",
    multiple=True,
    metavar="NAME",
    help="Compare these instead of MAML in each library; speeds are relative to the first.",
)
def command(results: Path, names: tuple[str, ...]) -> None:
    """Print accuracy, meta-training speed and memory of one method in several libraries."""
    from metabench.leaderboard import backends

    records, unreadable = load_records(results, hint=RUN)
    print_left_out([], unreadable)
    chosen = names or backends.BACKENDS
    click.echo(backends.render(records, names=chosen, folder=results.as_posix()))
