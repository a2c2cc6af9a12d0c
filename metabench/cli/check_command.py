"""``metabench check``: whether algorithms keep the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, PluginError, UsageError

if TYPE_CHECKING:
    from metabench.plugins import Plugins
    from metabench.testing import Report


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every installed algorithm.")
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    help="Run this check alone, a name or glob; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def command(names: tuple[str, ...], everything: bool, only: tuple[str, ...], as_json: bool) -> int:
    """Run the conformance kit on algorithms: names or globs, or --all.

    \b
    metabench check my-algo
    metabench check 'my-*' --only label-order

    The exit code is 1 where a check fails, or none says anything about an algorithm.
    """  # noqa: D301 - \b keeps click from filling the lines
    from metabench.cli.output import print_json
    from metabench.plugins import installed_plugins

    if everything and names:
        raise UsageError("--all and names exclude each other.", hint="--all means every algorithm.")
    if not (everything or names):
        raise NothingSelected(
            "nothing was asked for.",
            hint="Name an algorithm, or give --all; `metabench list algorithms` shows them.",
        )
    plugins = installed_plugins()
    registry = plugins.registry
    chosen = registry.names("algorithm") if everything else registry.match("algorithm", names)
    reports = []
    for name in chosen:
        report = _check(plugins, name, only)
        reports.append(report)
        if not as_json:
            click.echo(f"{report}\n")
    if everything:
        for name, reason in registry.broken.items():
            click.echo(f"warning: '{name}' is not checked: {reason}", err=True)
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        bad = sum(not report.ok for report in reports)
        click.echo(f"{len(reports) - bad} of {len(reports)} algorithms pass.")
    return EXIT_OK if all(report.ok for report in reports) else EXIT_CELL_FAILED


def _check(plugins: Plugins, name: str, only: tuple[str, ...]) -> Report:
    """The report on one algorithm; one that cannot even be imported has failed, and the others go on."""
    from dataclasses import replace

    from metabench.testing import CheckResult, Report, check_algorithm
    from metabench.utils.redirect import stdout_to_stderr

    spec = plugins.registry.get("algorithm", name)
    with stdout_to_stderr():  # it calls code of plugins
        try:
            report = check_algorithm(spec.name, checks=only)
        except PluginError as error:
            broken = CheckResult(
                "constructs", "It can be imported, and is an Algorithm.", "failed", error.message
            )
            return Report(name, (broken,))
    return replace(report, algorithm=name)
