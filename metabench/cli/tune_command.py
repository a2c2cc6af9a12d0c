"""``metabench tune``: choose hyper-parameters on meta-validation, with equal trials for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metabench.cli.cells import run_cells, say
from metabench.cli.options import given_settings, settings_options
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK
from metabench.tuning.settings import StudySettings
from metabench.utils.text import counted

if TYPE_CHECKING:
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
    from metabench.cli.output import print_json, print_table, write_text
    from metabench.cli.progress import ProgressConsole
    from metabench.config import validate
    from metabench.plugins import installed_plugins
    from metabench.records.store import ResultsFolder
    from metabench.tuning.outputs import best_rows, to_csv, write_recipes
    from metabench.tuning.space import SHIPPED, read_space
    from metabench.tuning.study import plan_study, results_of

    settings = validate(StudySettings, given_settings(StudySettings, values))
    chosen = read_space(space or SHIPPED)
    console = ProgressConsole()  # whose closed pipe is no fault of a trial
    plugins = installed_plugins()
    folder = ResultsFolder(settings.results)
    trials = plan_study(plugins.registry, settings, chosen, folder.load()[0])
    show = print_json if as_json else print_table
    if dry_run:
        show([_planned_row(trial) for trial in trials])
        return EXIT_OK
    planned = [trial.planned for trial in trials]
    records = run_cells(planned, settings, plugins, folder, console, noun="trial")
    studies = results_of(trials, records)
    scored = [tuned for tuned in studies if not tuned.failure]
    show(best_rows(scored))
    if csv is not None:
        hint = "Give another --csv: the trials are stored, and do not run again."
        write_text(csv, to_csv(studies), hint=hint)
    if recipes is not None:
        study = f"metabench tune --seed {settings.seed} --fraction {settings.fraction:g}"
        written = write_recipes(scored, recipes, chosen, study)
        say(console, f"{counted(len(written), 'recipe file')} written to '{recipes}'.")
    # After the results of the others, which may have taken hours.
    failures = [tuned.failure for tuned in studies if tuned.failure]
    for failure in failures:
        click.echo(f"error: {failure}", err=True)
    return EXIT_CELL_FAILED if failures else EXIT_OK


def _planned_row(trial: Trial) -> dict[str, Any]:
    return {
        "benchmark": trial.benchmark.name,
        "algorithm": trial.planned.cell.algorithm,
        "trial": trial.number,
        "state": trial.planned.state,
        "changed": trial.changed,
    }
