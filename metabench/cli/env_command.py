"""``metabench env``: show the environment that a record states."""

from __future__ import annotations

import click

from metabench.cli.output import print_json
from metabench.cli.records import json_option


@click.command("env")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:0 or auto.")
@json_option
def command(device: str, as_json: bool) -> None:
    """Show the environment that every record from this machine states."""
    import torch

    from metabench.datasets.base import cache_root, data_root
    from metabench.runtime.device import check_device
    from metabench.runtime.provenance import environment

    facts = dict(
        environment(device=torch.device(check_device(device)), threads=torch.get_num_threads())
    )
    # Folders are not in records: they say nothing about a score.
    facts |= {"data": str(data_root()), "cache": str(cache_root())}
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:20} {value}")
