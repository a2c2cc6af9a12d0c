"""``metabench run``: run cells, store a record for each, print the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metabench.cli.cells import run_cells, say
from metabench.cli.options import given_settings, settings_options
from metabench.config import RunSettings
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, EXIT_PLUGIN, UsageError
from metabench.utils.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from metabench.plugins import Plugins
    from metabench.records.schema import Record
    from metabench.records.store import ResultsFolder
    from metabench.running.plan import Planned


@click.command("run")
@click.option("--all", "everything", is_flag=True, help="Run all installed algorithms.")
@settings_options(RunSettings)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A TOML file with the options from --algorithm to --results.",
)
@click.option("--fresh", is_flag=True, help="Run again what is stored.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show whether each cell is stored, new, stale or skipped, and why.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    everything: bool, config: Path | None, fresh: bool, dry_run: bool, as_json: bool, **values: Any
) -> int:
    """Meta-train and meta-test algorithms on the same frozen episodes.

    Stored cells are not run again. Each cell (algorithm x benchmark x seed) runs in a process of
    its own and leaves one record. A cell that was killed resumes from its checkpoint.
    """
    # Here and below: `metabench --help` imports this module, and must not import rich or torch.
    from metabench.cli.output import print_json, print_table
    from metabench.cli.progress import ProgressConsole
    from metabench.plugins import installed_plugins
    from metabench.records.store import ResultsFolder

    settings, named = _settings(everything, config, values)
    console = ProgressConsole()
    plugins = installed_plugins()
    settings = _check_resources(settings, plugins)
    folder = ResultsFolder(settings.results)
    planned = _plan(settings, plugins, folder, console, fresh=fresh, named=named)
    code = EXIT_OK
    if dry_run:
        rows = [_planned_row(p) for p in planned]
        (print_json if as_json else print_table)(rows)
    else:
        records = run_cells(planned, settings, plugins, folder, console)
        if all(p.state == "stored" for p in planned):
            say(console, "nothing to do: every cell is stored (--fresh runs them again).")
        code = _show(records, folder, console, as_json=as_json)
        _say_unmeasured(records, settings.metrics, console)
    return EXIT_PLUGIN if _names_broken(planned, settings, plugins) else code


def _settings(
    everything: bool, config: Path | None, values: dict[str, Any]
) -> tuple[RunSettings, bool]:
    """Returns the settings, and whether they name algorithms; the command line has precedence."""
    from metabench.config import merge_hyperparameters, read_config, validate

    file = read_config(config) if config is not None else {}
    given = given_settings(RunSettings, values)
    if everything and given.get("algorithm"):
        raise UsageError(
            "--all and --algorithm exclude each other.", hint="--all means all algorithms."
        )
    if everything:
        given["algorithm"] = ()  # no pattern means all, also if the file names some
    # By hyper-parameter: one on the command line does not drop the others of the file.
    given["set"] = merge_hyperparameters(file.get("set", {}), given.get("set", {}))
    settings = validate(RunSettings, {**file, **given})
    if not (everything or settings.algorithm or settings.benchmark or settings.suite):
        raise UsageError(
            "no algorithm or benchmark was given.",
            hint="Give --all, or names with -a and -b; `metabench list algorithms` shows them.",
        )
    return settings, bool(settings.algorithm)


def _check_resources(settings: RunSettings, plugins: Plugins) -> RunSettings:
    """Check device, precision and executor before anything is read or run."""
    from dataclasses import replace

    from metabench.runtime.device import check_device
    from metabench.runtime.precision import check_precision

    device = check_device(settings.device)
    check_precision(settings.precision, device)
    executor = plugins.registry.get("executor", settings.executor).name
    return replace(settings, device=device, executor=executor)


def _plan(
    settings: RunSettings,
    plugins: Plugins,
    folder: ResultsFolder,
    console: Console,
    *,
    fresh: bool,
    named: bool,
) -> list[Planned]:
    from metabench.running.plan import plan
    from metabench.utils.redirect import stdout_to_stderr

    stored, unreadable = folder.load()
    for file in unreadable:
        say(console, f"ignored: {file.path} {file.reason}")
    with stdout_to_stderr():  # planning calls code of plugins
        return plan(
            plugins.registry,
            settings,
            stored,
            data=settings.data,
            episodes_salt=settings.episodes_salt,
            fresh=fresh,
            # A named algorithm of a broken plugin is an error; without names it is a row.
            broken={} if named else plugins.registry.broken,
        )


def _show(records: list[Record], folder: ResultsFolder, console: Console, *, as_json: bool) -> int:
    """Print the leaderboard. Returns the exit code."""
    from metabench.api import Results

    click.echo(Results(records).leaderboard().render("json" if as_json else "table"))
    failed = sum(record.status not in ("ok", "skipped") for record in records)
    if failed:
        cells = counted(len(records), "cell")
        say(console, f"{failed} of {cells} failed; see the records in '{folder.records}'.")
    return EXIT_CELL_FAILED if failed else EXIT_OK


def _say_unmeasured(records: list[Record], metrics: tuple[str, ...], console: Console) -> None:
    """Say why a metric that the user named has no result; a glob names none."""
    for name in metrics:
        found = [r.metrics[name] for r in records if name in r.metrics]
        for reason in dict.fromkeys(m.reason for m in found if m.status != "ok"):
            cells = sum(m.reason == reason for m in found)
            say(console, f"{name} was not measured in {counted(cells, 'cell')}: {reason}")


def _names_broken(planned: list[Planned], settings: RunSettings, plugins: Plugins) -> bool:
    """Returns whether the user named an algorithm whose plugin turned out to be broken."""
    from metabench.running.selection import named_algorithms

    broken = {p.cell.algorithm for p in planned if p.ended and p.ended[0] == "broken-plugin"}
    return bool(broken and broken & named_algorithms(plugins.registry, settings))


def _planned_row(planned: Planned) -> dict[str, Any]:
    cell = planned.cell
    return {
        "algorithm": cell.algorithm,
        "benchmark": cell.benchmark.name,
        "seed": cell.seed,
        "state": planned.state,
        "why": planned.why,
    }
