"""``metabench tune``: choose hyper-parameters on meta-validation, with equal trials for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metabench.cli.options import given_settings, settings_options
from metabench.errors import EXIT_OK
from metabench.tuning.settings import StudySettings
from metabench.utils.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from metabench.records.schema import Record
    from metabench.records.store import ResultsFolder
    from metabench.tuning.study import Trial


@click.command("tune")
@settings_options(StudySettings)
@click.option("--space", type=click.Path(path_type=Path), help="A TOML file with another space.")
@click.option("--csv", type=click.Path(path_type=Path), help="Write all trials to this file.")
@click.option(
    "--recipes",
    type=click.Path(path_type=Path),
    help="Write the best trial of each algorithm to FOLDER/ALGORITHM.toml.",
    metavar="FOLDER",
)
@click.option("--dry-run", is_flag=True, help="Show the trials and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(
    space: Path | None,
    csv: Path | None,
    recipes: Path | None,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Choose hyper-parameters on meta-validation: the same random search for every algorithm.

    A trial trains with a part of the budget. The first trial of each algorithm is its default
    recipe. The classes of meta-test are not used. Finished trials are stored and not run again.
    """
    from rich.console import Console

    from metabench.cli.output import print_json, print_table
    from metabench.config import validate
    from metabench.plugins import installed_plugins
    from metabench.records.store import ResultsFolder
    from metabench.tuning.outputs import best_rows, to_csv, write_recipes
    from metabench.tuning.space import SHIPPED, read_space
    from metabench.tuning.study import plan_study, results_of

    settings = validate(StudySettings, given_settings(StudySettings, values))
    chosen = read_space(space or SHIPPED)
    console = Console(stderr=True)
    plugins = installed_plugins()
    folder = ResultsFolder(settings.results)
    trials = plan_study(plugins.registry, settings, chosen, folder.load()[0])
    show = print_json if as_json else print_table
    if dry_run:
        show([_planned_row(trial) for trial in trials])
        return EXIT_OK
    studies = results_of(trials, _run(trials, settings, folder, console))
    show(best_rows(studies))
    if csv is not None:
        csv.write_text(to_csv(studies), encoding="utf-8")
    if recipes is not None:
        study = f"metabench tune --seed {settings.seed} --fraction {settings.fraction:g}"
        written = write_recipes(studies, recipes, chosen, study)
        console.print(f"{counted(len(written), 'recipe file')} written to '{recipes}'.")
    return EXIT_OK


def _run(
    trials: list[Trial], settings: StudySettings, folder: ResultsFolder, console: Console
) -> list[Record]:
    from metabench.cli.progress import make_watcher
    from metabench.executors.guard import guarded
    from metabench.plugins import installed_plugins
    from metabench.running.runner import run_planned
    from metabench.utils.redirect import stdout_to_stderr

    planned = [trial.planned for trial in trials]
    todo = sum(p.state != "stored" for p in planned)
    console.print(f"{counted(len(planned), 'trial')}: {len(planned) - todo} stored, {todo} to run")
    plugins = installed_plugins()
    # A cell in this process may print; stdout is for the table alone.
    with stdout_to_stderr(), make_watcher(console) as watcher:
        executor = guarded(plugins.registry, settings.executor)
        return run_planned(planned, plugins, folder, settings, executor, [watcher])


def _planned_row(trial: Trial) -> dict[str, Any]:
    return {
        "benchmark": trial.benchmark.name,
        "algorithm": trial.planned.cell.algorithm,
        "trial": trial.number,
        "state": trial.planned.state,
        "changed": trial.changed,
    }
