"""``metabench data``: list, download and verify data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from metabench.cli.options import settings_options
from metabench.cli.output import print_json, print_table
from metabench.cli.records import json_option
from metabench.config import CellSettings
from metabench.errors import EXIT_CELL_FAILED, UsageError

_data_option = settings_options(CellSettings, "data")


@click.group("data")
def command() -> None:
    """List, download and verify data sets."""


@command.command("list")
@_data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List the data sets and whether they are on this machine."""
    from metabench.plugins import installed_plugins
    from metabench.registry import describe_error
    from metabench.utils.redirect import stdout_to_stderr

    rows = []
    for spec in installed_plugins().registry.specs("dataset"):
        try:
            with stdout_to_stderr():
                status = str(spec.load()(root=data).status())
        except Exception as error:  # a plugin's; the other data sets are listed all the same
            status = f"broken: {describe_error(error)}"
        rows.append(
            {"name": spec.name, "version": spec.version, "status": status, "summary": spec.summary}
        )
    (print_json if as_json else print_table)(rows)


@command.command("download")
@click.argument("name")
@_data_option
def download(name: str, data: Path | None) -> None:
    """Download a data set and check its checksums. Valid files are not downloaded again."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    dataset = _downloadable(name, data)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    # On stderr: stdout lists the downloaded files.
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, Any] = {}

        def show(filename: str, done: int, total: int | None) -> None:
            if filename not in bars:
                bars[filename] = progress.add_task(filename)
            progress.update(bars[filename], completed=done, total=total)

        paths = dataset.download(show)
    for path in paths:
        click.echo(path)


@command.command("verify")
@click.argument("name")
@_data_option
@json_option
def verify(name: str, data: Path | None, as_json: bool) -> int:
    """Check every file of a data set. Exits with 1 if one is missing or damaged."""
    report = _downloadable(name, data).verify()
    if as_json:
        findings = {"findings": list(report.findings), "details": dict(report.details)}
        print_json({"name": name, "ok": report.ok, **findings})
    else:
        for key, value in report.details.items():
            click.echo(f"{key:16} {value}")
        for finding in report.findings:
            click.echo(f"wrong: {finding}")
        click.echo(f"{name} is {'complete and valid' if report.ok else 'not valid'}.")
    return 0 if report.ok else EXIT_CELL_FAILED


def _downloadable(name: str, data: Path | None) -> Any:
    from metabench.datasets.base import EMBEDDED
    from metabench.datasets.download import Downloadable
    from metabench.plugins import installed_plugins

    spec = installed_plugins().registry.get("dataset", name)
    dataset = spec.load()(root=data)
    if isinstance(dataset, Downloadable):
        return dataset
    if dataset.status() == EMBEDDED:
        raise UsageError(f"data set '{name}' has no files: there is nothing to download or verify.")
    raise UsageError(
        f"data set '{name}' of '{spec.distribution}' has no download and no verification.",
        hint=f"The documentation of '{spec.distribution}' says where its files come from.",
    )
