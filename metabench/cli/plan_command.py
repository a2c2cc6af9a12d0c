"""``metabench plan``: the least difference that a comparison would detect."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.output import print_json, print_table
from metabench.cli.records import json_option, load_records, print_left_out

if TYPE_CHECKING:
    from metabench.compare.plan import PlannedComparison

_COUNT = click.IntRange(min=1)
_LEVEL = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command("plan")
@click.argument("suite")
@click.option("--seeds", type=_COUNT, default=3, show_default=True, help="Seeds of the new side.")
@click.option(
    "--base-seeds", type=_COUNT, metavar="N", help="Seeds of the base; by default as many."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measure the variation between seeds on these records.",
)
@click.option(
    "--cells",
    type=_COUNT,
    metavar="N",
    help="Cells in the comparison, for the correction; by default one for each benchmark.",
)
@click.option(
    "--min-effect",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="As of `metabench compare`.",
)
@click.option("--alpha", type=_LEVEL, default=0.05, show_default=True, help="As of `compare`.")
@click.option(
    "--power",
    type=_LEVEL,
    default=0.9,
    show_default=True,
    help="The probability of detecting the difference.",
)
@json_option
def command(
    suite: str,
    *,
    seeds: int,
    base_seeds: int | None,
    results: Path | None,
    cells: int | None,
    min_effect: float,
    alpha: float,
    power: float,
    as_json: bool,
) -> None:
    """Show the least difference that `metabench compare` would detect on each benchmark of SUITE.

    SUITE is a name or a .toml file. It rests on the variation between training seeds: of the
    records in --results, else on shipped values, whose source is shown.
    """
    from metabench.compare.plan import plan_comparison
    from metabench.config import Selection
    from metabench.plugins import installed_plugins
    from metabench.records.schema import SHARE
    from metabench.running.selection import check_benchmark, select_benchmarks

    registry = installed_plugins().registry
    benchmarks = select_benchmarks(registry, Selection(suite=suite))
    records, unreadable = load_records(results) if results else ([], [])
    print_left_out([], unreadable)
    rows = []
    for benchmark in benchmarks:
        check_benchmark(registry, benchmark)
        rows.append(
            plan_comparison(
                benchmark,
                records,
                share=registry.get("metric", benchmark.metrics[0]).load().unit == SHARE,
                seeds=seeds,
                base_seeds=base_seeds or seeds,
                cells=cells or len(benchmarks),
                min_effect=min_effect,
                alpha=alpha,
                power=power,
            )
        )
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table([_cells(row) for row in rows])


def _cells(row: PlannedComparison) -> dict[str, str]:
    unit = "% of the mean" if row.relative else "points"
    least = row.least_difference
    return {
        "benchmark": row.benchmark,
        "metric": row.metric,
        "seeds": f"{row.seeds} against {row.base_seeds}",
        "least difference": "none" if least is None else f"{100 * least:.2f} {unit}",
        "seed sd": f"{100 * row.seed_sd:.2g} {unit}",
        "source": row.source,
    }
