"""``metabench check``: check that algorithms keep the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metabench.cli.records import json_option
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, NothingSelected, PluginError, UsageError
from metabench.utils.text import counted

if TYPE_CHECKING:
    from metabench.plugins import Plugins
    from metabench.testing import Report


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Check all installed algorithms.")
@click.option(
    "--only", multiple=True, metavar="CHECK", help="Run only these checks; names or globs."
)
@json_option
def command(names: tuple[str, ...], everything: bool, only: tuple[str, ...], as_json: bool) -> int:
    """Run the conformance kit on algorithms: names or globs, or --all.

    \b
    metabench check my-algo
    metabench check 'my-*' --only label-order

    The exit code is 1 if a check fails, or if no check applies to an algorithm.
    """  # noqa: D301 - \b keeps click from wrapping the lines
    from metabench.cli.output import print_json
    from metabench.plugins import installed_plugins

    if everything and names:
        raise UsageError("--all and names exclude each other.", hint="--all means all algorithms.")
    if not (everything or names):
        raise NothingSelected(
            "no algorithm was given.",
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
    if everything:  # a broken plugin is not a failed check of an algorithm
        for name, reason in registry.broken.items():
            click.echo(f"warning: '{name}' is not checked: {reason}", err=True)
    passed = sum(report.ok for report in reports)
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        verb = "passes" if len(reports) == 1 else "pass"
        click.echo(f"{passed} of {counted(len(reports), 'algorithm')} {verb}.")
    return EXIT_OK if passed == len(reports) else EXIT_CELL_FAILED


def _check(plugins: Plugins, name: str, only: tuple[str, ...]) -> Report:
    """Returns the report on an algorithm; one that cannot be imported has failed."""
    from dataclasses import replace

    from metabench.testing import CheckResult, Report, check_algorithm
    from metabench.utils.redirect import stdout_to_stderr

    spec = plugins.registry.get("algorithm", name)
    with stdout_to_stderr():  # checking calls code of plugins
        try:
            report = check_algorithm(spec.name, checks=only)
        except PluginError as error:
            claim = "It can be imported, and is an Algorithm."
            return Report(name, (CheckResult("constructs", claim, "failed", error.message),))
    return replace(report, algorithm=name)  # as it is listed, which may be `distribution:name`
