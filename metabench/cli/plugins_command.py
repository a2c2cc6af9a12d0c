"""``metabench plugins``: every plugin with what it brings, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

import click

from metabench.cli.output import print_json, print_table


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def command(as_json: bool) -> None:
    """Show every plugin: distribution, version, status, reason, and what it provides."""
    from metabench.benchmarks.model import load_suites
    from metabench.plugins import installed_plugins

    plugins = installed_plugins()
    load_suites(plugins.registry)  # which tells of broken ones
    infos = plugins.infos
    if as_json:
        print_json([asdict(info) for info in infos])
        return
    print_table(
        [
            {
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "status": info.status,
                "provides": "; ".join(
                    f"{kind}: {', '.join(names)}" for kind, names in info.provides.items()
                ),
                "reason": info.reason,
            }
            for info in infos
        ]
    )
