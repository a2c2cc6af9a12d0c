"""``metabench run``: meta-train and meta-test, store a record for each cell, print the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metabench.cli.records import comma_list
from metabench.errors import EXIT_CELL_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from metabench.running.plan import Planned

_PATH = click.Path(path_type=Path)


@click.command("run")
@click.option("--all", "everything", is_flag=True, help="Every installed algorithm.")
@click.option(
    "-a", "--algorithm", multiple=True, metavar="GLOB", help="These algorithms; may be repeated."
)
@click.option(
    "-b", "--benchmark", multiple=True, metavar="GLOB", help="These benchmarks; may be repeated."
)
@click.option(
    "--suite",
    metavar="NAME",
    help="The suite, or a .toml file that is one; `core` unless benchmarks are named.",
)
@click.option(
    "--seeds",
    metavar="SEEDS",
    help="3 (three of them), 0,5,7 or 2-4; one seed is 7, with the comma.",
)
@click.option("--device", help="cpu, cuda, cuda:0 or auto; cpu by default.")
@click.option(
    "--jobs", type=click.IntRange(min=0), help="Cells at a time; one for each core by default."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of each cell, or processes that share its outer steps where they can; 1 by default.",
)
@click.option(
    "--precision",
    metavar="NAME",
    help="How products are computed: highest (float32), tf32 or bf16; highest by default.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that a cell may take."
)
@click.option(
    "--executor",
    metavar="NAME",
    help="Where cells run: `metabench list executors`; processes by default.",
)
@click.option("--results", type=_PATH, help="The results folder; `results` by default.")
@click.option("--data", type=_PATH, help="The folder that holds one folder per data set.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="ALGORITHM.PARAMETER=VALUE",
    help="A hyper-parameter.",
)
@click.option("--config", type=_PATH, help="A TOML file with these options.")
@click.option(
    "--quick", is_flag=True, default=None, help="Small budgets, few episodes: to see that it works."
)
@click.option(
    "--metrics",
    metavar="NAMES",
    help="accuracy,noise,cost: measure these, whatever the benchmark names.",
)
@click.option("--fresh", is_flag=True, help="Run again what is stored.")
@click.option(
    "--dry-run", is_flag=True, help="Say for each cell whether it is stored, new or stale, and why."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(**options: Any) -> int:
    """Meta-train and meta-test algorithms on the same frozen episodes.

    What is stored is not run again. Each cell (algorithm x benchmark x seed) runs in a process of its own
    and leaves one record; a killed one goes on from its checkpoint.
    """
    return _run(**options)


def _run(
    *,
    everything: bool,
    algorithm: tuple[str, ...],
    benchmark: tuple[str, ...],
    settings: tuple[str, ...],
    config: Path | None,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> int:
    from metabench.config import RunConfig, merge_settings, parse_seeds, parse_settings, read_config
    from metabench.running.plan import Selection

    file = read_config(config) if config is not None else RunConfig()
    if given["seeds"] is not None:
        given["seeds"] = parse_seeds(given["seeds"])
    if given["metrics"] is not None:
        given["metrics"] = comma_list(given["metrics"])
    options: dict[str, Any] = {
        name: value if value is not None else getattr(file, name) for name, value in given.items()
    }
    if everything and algorithm:
        raise UsageError(
            "--all and --algorithm exclude each other.", hint="--all means every algorithm."
        )
    algorithm = algorithm or (() if everything else file.algorithm)
    benchmark = benchmark or file.benchmark
    if not (everything or algorithm or benchmark or options["suite"]):
        raise UsageError(
            "nothing was asked for.",
            hint="Give --all, or name some with -a and -b; `metabench list algorithms` shows them.",
        )
    selection = Selection(
        algorithms=algorithm,
        benchmarks=benchmark,
        suite=options["suite"] or "",
        seeds=options["seeds"] or (0,),
        settings=merge_settings(dict(file.set), parse_settings(settings)),
        quick=bool(options["quick"]),
        fresh=fresh,
        metrics=tuple(options["metrics"] or ()),
    )
    return _execute(selection, options, named=bool(algorithm), dry_run=dry_run, as_json=as_json)


def _execute(
    selection: Any, options: dict[str, Any], *, named: bool, dry_run: bool, as_json: bool
) -> int:
    from rich.console import Console

    from metabench.api import DEFAULT_RESULTS, Results
    from metabench.cli.output import print_json
    from metabench.cli.progress import make_watcher
    from metabench.executors.guard import guarded
    from metabench.plugins import installed_plugins
    from metabench.records.store import ResultsFolder
    from metabench.running.plan import plan
    from metabench.running.runner import Resources, check_device, run_planned
    from metabench.runtime.precision import check_precision
    from metabench.utils.redirect import stdout_to_stderr

    console = Console(stderr=True)
    plugins = installed_plugins()
    device = check_device(options["device"] or "cpu")
    resources = Resources(
        device=device,
        jobs=options["jobs"] or 0,
        threads=options["threads"] or 1,
        precision=check_precision(options["precision"] or "highest", device),
        timeout=options["timeout"],
        data=options["data"],
        executor=plugins.registry.get("executor", options["executor"] or Resources.executor).name,
    )
    folder = ResultsFolder(options["results"] or DEFAULT_RESULTS)
    stored, unreadable = folder.load()
    for file in unreadable:
        console.print(
            f"ignored: {file.path} {file.reason}", markup=False, highlight=False, soft_wrap=True
        )
    with stdout_to_stderr():  # it calls code of plugins
        planned = plan(
            plugins.registry,
            selection,
            stored,
            data=resources.data,
            broken={} if named else plugins.registry.broken,
        )
    if dry_run:
        rows = [_planned_row(p) for p in planned]
        if as_json:
            print_json(rows)
        else:
            _print_rows(rows)
        return EXIT_OK
    todo = sum(p.state != "stored" for p in planned)
    console.print(
        f"{len(planned)} cells: {len(planned) - todo} stored, {todo} to run", highlight=False
    )
    with stdout_to_stderr(), make_watcher(console) as watcher:
        executor = guarded(plugins.registry, resources.executor)
        records = run_planned(planned, plugins, folder, resources, executor, [watcher])
    if not todo:
        console.print(
            "nothing to do: every cell is stored (--fresh runs them again).", highlight=False
        )
    board = Results(records).leaderboard()
    click.echo(board.render("json" if as_json else "table"))
    bad = [r for r in records if r.status not in ("ok", "skipped")]
    if bad:
        console.print(
            f"{len(bad)} of {len(records)} cells did not end well; "
            f"their records in '{folder.records}' say why.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return EXIT_CELL_FAILED if bad else EXIT_OK


def _planned_row(planned: Planned) -> dict[str, Any]:
    cell = planned.cell
    return {
        "algorithm": cell.algorithm,
        "benchmark": cell.benchmark.name,
        "seed": cell.seed,
        "state": planned.state,
        "why": planned.why,
    }


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    from metabench.cli.output import print_table

    print_table(rows)
