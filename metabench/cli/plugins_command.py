"""``metabench plugins``: show every plugin, what it provides and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

import click

from metabench.cli.output import print_json, print_table
from metabench.cli.records import json_option


@click.command("plugins")
@json_option
def command(as_json: bool) -> None:
    """Show every plugin: distribution, version, status, reason, and what it provides.

    The names of all that a plugin provides are in the JSON document.
    """
    from metabench.cli.plugin_files import check_files
    from metabench.plugins import installed_plugins

    plugins = installed_plugins()
    check_files(plugins)
    if as_json:
        print_json([asdict(info) for info in plugins.infos])
        return
    print_table(
        [
            {
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "status": info.status,
                "reason": info.reason,
                # The number of names alone, where they would fill the screen.
                "provides": ", ".join(
                    f"{kind}: {names[0]}" if len(names) == 1 else f"{len(names)} {kind}"
                    for kind, names in info.provides.items()
                ),
            }
            for info in plugins.infos
        ]
    )
